from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from formats.broken_tars import broken_tars, files
from imagenet_nk.formats import tar_headers
from imagenet_nk.sources.archive.member_map import Gap, Member, MemberMap
from sources.tars import tar

BLOCK = tar_headers.BLOCK


@given(st.one_of(files.map(tar), broken_tars()), st.data())
@settings(max_examples=150)
def test_pieces_in_any_order_are_never_contradicted_and_come_to_an_end(data: bytes, draw: st.DataObject) -> None:
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
def test_pieces_of_a_valid_tar_in_any_order_give_all_members(these, rng) -> None:
    data = tar(these)
    known = MemberMap(len(data))
    while not known.is_complete:
        gap = known.seek(rng.randrange(len(data)))
        gap = gap if isinstance(gap, Gap) else known.gap_at(0)
        assert gap is not None
        known.ingest(gap, data[gap.first : min(gap.first + BLOCK * rng.randrange(1, 4), gap.limit)])
    found = {m.header.name: data[m.start + BLOCK : m.end] for m in known.members}
    assert found == dict(these)
