from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest

from imagenet_nk.formats.gzip_stream import DamagedError, gunzip

DATA = random.Random(0).randbytes(5 << 20)


def test_pieces_of_several_members_are_the_data(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(DATA, 1) + bytes(3 << 20) + gzip.compress(b"end"))
    assert b"".join(gunzip(tmp_path / "a.gz")) == DATA + b"end"


def test_truncated_file_gives_its_valid_bytes_and_then_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(DATA, 1)[: 4 << 20])
    pieces = gunzip(tmp_path / "a.gz")
    read: list[bytes] = []
    with pytest.raises(DamagedError, match="ends too early"):
        read.extend(pieces)
    assert read
    assert DATA.startswith(b"".join(read))
