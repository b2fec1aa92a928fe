"""Everything that reads tars, with hypothesis as the hostile server."""

from __future__ import annotations

import io
import tarfile

from hypothesis import given, settings
from hypothesis import strategies as st

from imagenet_nk.formats import tar_headers
from imagenet_nk.sources.archive.member_map import Gap, Member, MemberMap
from imagenet_nk.sources.archive.name_search import NameIndex, natural_key
from imagenet_nk.sources.archive.tar_stream import members as streamed
from sources.tars import tar

BLOCK = tar_headers.BLOCK
name = st.from_regex(r"[a-z0-9_]{1,20}\.JPEG", fullmatch=True)
files = st.lists(st.tuples(name, st.binary(max_size=1500)), max_size=8, unique_by=lambda file: file[0])


@st.composite
def broken_tars(draw: st.DrawFn) -> bytes:
    """A tar with some bytes changed, cut somewhere."""
    data = bytearray(tar(draw(files), form=draw(st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))))
    for at in draw(st.lists(st.integers(0, len(data) - 1), max_size=6)):
        data[at] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))])


@given(files, st.sampled_from([tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT]))
def test_headers_are_read_as_tarfile_reads_them(these, form) -> None:
    data = tar(these, form=form)
    with tarfile.open(fileobj=io.BytesIO(data)) as whole:
        for member in whole:
            header = tar_headers.parse(data[member.offset :])
            assert header is not None
            assert (header.name, header.size, header.is_file) == (member.name, member.size, True)


@given(
    st.lists(st.tuples(st.text("aé鱼./", min_size=1, max_size=300), st.booleans()), min_size=1, max_size=4),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_whole_names_are_those_that_tarfile_reads(these, form) -> None:
    data = tar([(name, b"x" * 700 * filled) for name, filled in these], form=form)
    with tarfile.open(fileobj=io.BytesIO(data)) as whole:
        for member in whole:
            header = tar_headers.parse(data[member.offset_data - BLOCK :])
            assert header is not None
            name = tar_headers.full_name(data[: member.offset_data]) if header.name_truncated else header.name
            if member.isreg():
                assert name == member.name


@given(st.one_of(st.binary(max_size=3000), broken_tars()))
def test_a_whole_name_is_asked_of_anything(data: bytes) -> None:
    name = tar_headers.full_name(data)
    assert name is None or isinstance(name, str)


@given(st.one_of(st.binary(max_size=3000), broken_tars()), st.integers(0, 3000))
def test_find_gives_the_first_header_or_none(data: bytes, start: int) -> None:
    found = tar_headers.find(data, start)
    plainly = next(
        (at for at in range(-(-start // BLOCK) * BLOCK, len(data), BLOCK) if tar_headers.parse(data[at : at + BLOCK])),
        None,
    )
    assert (found[0] if found else None) == plainly


@given(st.binary(min_size=BLOCK, max_size=BLOCK))
def test_parse_takes_any_block(block: bytes) -> None:
    tar_headers.parse(block)
    header = tar_headers.parse(block[:257] + b"ustar\x0000" + block[265:])
    assert header is None or header.size >= 0


@given(st.one_of(files.map(tar), broken_tars()), st.data())
@settings(max_examples=150)
def test_pieces_in_any_order_give_what_the_whole_gives(data: bytes, draw: st.DataObject) -> None:
    """However it is read, it comes to an end, and what is known is never contradicted by more."""
    known = MemberMap(len(data))
    rounds = 0
    while not known.is_complete:
        rounds += 1
        assert rounds < 300
        found = known.seek(draw.draw(st.integers(0, len(data))))
        if isinstance(found, Member) or found is None:
            found = known.gap_at(0)
        assert isinstance(found, Gap)
        assert found.first < found.limit <= known.length
        size = draw.draw(st.integers(1, 5)) * BLOCK
        known.ingest(found, data[found.first : min(found.first + size, found.limit)])
    starts = [member.start for member in known.members]
    assert starts == sorted(set(starts))
    for member in known.members:
        assert tar_headers.parse(data[member.start : member.start + BLOCK]) == member.header
        assert known.seek(member.start) == member
    assert MemberMap.from_json(known.to_json()).members == known.members  # type: ignore[arg-type]


@given(files, st.randoms(use_true_random=False))
def test_a_sound_tar_is_known_whole_whatever_is_read_first(these, rng) -> None:
    data = tar(these)
    known = MemberMap(len(data))
    while not known.is_complete:
        gap = known.seek(rng.randrange(len(data)))
        gap = gap if isinstance(gap, Gap) else known.gap_at(0)
        assert gap is not None
        known.ingest(gap, data[gap.first : min(gap.first + BLOCK * rng.randrange(1, 4), gap.limit)])
    found = {m.header.name: data[m.start + BLOCK : m.end] for m in known.members}
    assert found == dict(these)


@given(st.one_of(broken_tars(), st.binary(max_size=2000)), st.lists(st.integers(1, 900), min_size=1, max_size=5))
def test_a_stream_of_anything_ends(data: bytes, sizes: list[int]) -> None:
    chunks, at = [], 0
    while at < len(data):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(data[at : at + size])
        at += size
    for member, content in streamed(iter(chunks), 1000):
        assert len(content) == member.header.size <= 1000


@given(files)
def test_a_stream_gives_the_plain_files(these) -> None:
    got = [(m.header.name, content) for m, content in streamed(iter([tar(these)]), 1000)]
    assert got == [(name, content) for name, content in these if 0 < len(content) <= 1000]


@given(st.lists(st.from_regex(r"[a-c]{0,2}[0-9]{1,3}", fullmatch=True), unique_by=natural_key, max_size=20), st.data())
def test_where_a_name_must_be(names: list[str], draw: st.DataObject) -> None:
    """As long as names are in an order, what is offered to read next may hold the name that is looked for."""
    order = draw.draw(st.sampled_from([natural_key, lambda text: ((1, 0, text),)]))
    starts = {name: i * BLOCK * 2 for i, name in enumerate(sorted(names, key=order))}
    known = MemberMap(len(names) * BLOCK * 2)
    index = NameIndex(lambda member: member.header.name)
    for name in draw.draw(st.lists(st.sampled_from(names), unique=True)) if names else []:
        index.note(Member(starts[name], tar_headers.Header(name, 0, b"0")))
    for name in names:
        if index.get(name) is None:
            assert index.next_gap(name, known, BLOCK) is not None


def test_natural_order() -> None:
    assert sorted(["n1_10", "n1_9", "n1", "n10_1", "n2_1"], key=natural_key) == ["n1", "n1_9", "n1_10", "n2_1", "n10_1"]
