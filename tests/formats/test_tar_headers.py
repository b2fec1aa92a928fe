from __future__ import annotations

import io
import tarfile

from hypothesis import given
from hypothesis import strategies as st

from formats.broken_tars import broken_tars, files
from imagenet_nk.formats import tar_headers
from sources.tars import tar

BLOCK = tar_headers.BLOCK


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
def test_full_names_are_those_that_tarfile_reads(these, form) -> None:
    data = tar([(name, b"x" * 700 * filled) for name, filled in these], form=form)
    with tarfile.open(fileobj=io.BytesIO(data)) as whole:
        for member in whole:
            header = tar_headers.parse(data[member.offset_data - BLOCK :])
            assert header is not None
            name = tar_headers.full_name(data[: member.offset_data]) if header.name_truncated else header.name
            if member.isreg():
                assert name == member.name


@given(st.one_of(st.binary(max_size=3000), broken_tars()))
def test_full_name_takes_any_bytes(data: bytes) -> None:
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
