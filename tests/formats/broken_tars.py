"""Strategies for sound and broken tars."""

from __future__ import annotations

import tarfile

from hypothesis import strategies as st

from sources.tars import tar

name = st.from_regex(r"[a-z0-9_]{1,20}\.JPEG", fullmatch=True)


files = st.lists(st.tuples(name, st.binary(max_size=1500)), max_size=8, unique_by=lambda file: file[0])


@st.composite
def broken_tars(draw: st.DrawFn) -> bytes:
    """A tar with some bytes changed, cut somewhere."""
    data = bytearray(tar(draw(files), form=draw(st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))))
    for at in draw(st.lists(st.integers(0, len(data) - 1), max_size=6)):
        data[at] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))])
