from __future__ import annotations

import random
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_nk.errors import SourceError
from imagenet_nk.sources.devkit import ground_truth, val_images, wnids_of
from sources.tars import devkit

WNIDS = [f"n{i * 37 % 1000:08d}" for i in range(1000)]
TRUTH = [1 + i % 1000 for i in range(50_000)]


def mat(wnids: list[str], *, letters: int = 2, packed: bool = True) -> bytes:
    """A file in the form of meta.mat: a header, then one element with the text of all cells."""
    cells = b""
    for wnid in wnids:
        text = wnid.encode("utf-16-le" if letters == 2 else "ascii")
        cells += struct.pack("<II", 4 if letters == 2 else 16, len(text)) + text + bytes(-len(text) % 8)
    element = struct.pack("<II", 14, len(cells)) + cells
    if packed:
        deflated = zlib.compress(element)
        element = struct.pack("<II", 15, len(deflated)) + deflated
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + element


def write(tmp_path: Path, data: bytes) -> Path:
    (tmp_path / "devkit.tar.gz").write_bytes(data)
    return tmp_path / "devkit.tar.gz"


def test_each_line_gives_the_class_of_one_image(tmp_path: Path) -> None:
    truth = random.Random(0).sample(TRUTH, len(TRUTH))
    images = val_images(write(tmp_path, devkit(truth, meta=mat(WNIDS))), WNIDS)
    assert sum(map(len, images.values())) == 50_000
    for number in (1, 2, 777, 50_000):
        assert f"ILSVRC2012_val_{number:08d}" in images[WNIDS[truth[number - 1] - 1]]


@pytest.mark.parametrize("letters", [1, 2])
@pytest.mark.parametrize("packed", [True, False])
def test_meta_mat_gives_the_order(letters: int, packed: bool) -> None:
    assert wnids_of(mat(WNIDS, letters=letters, packed=packed)) == WNIDS


def test_unknown_order_in_meta_mat_is_refused(tmp_path: Path) -> None:
    other = [WNIDS[1], WNIDS[0], *WNIDS[2:]]
    with pytest.raises(SourceError, match="numbers the classes in another order"):
        val_images(write(tmp_path, devkit(TRUTH, meta=mat(other))), WNIDS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"1\n2\n0\n", "line 3"),
        (b"1\n1001\n", "line 2"),
        (b"1\nx\n", "line 2"),
        (b"-1\n", "line 1"),
        (b"1\n\n2\n", "line 2"),
        (b"1\n" * 50_000, "not 50 images of each class"),
    ],
)
def test_impossible_ground_truth_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        ground_truth(text, 1000, "devkit")


@pytest.mark.parametrize("cut", [0, 5, 200, 1000])
def test_broken_devkit_is_one_line(tmp_path: Path, cut: int) -> None:
    whole = devkit(TRUTH)
    with pytest.raises(SourceError, match=r"cannot read the devkit|holds no ILSVRC2012") as error:
        val_images(write(tmp_path, whole[:cut]), WNIDS)
    assert "\n" not in str(error.value)


@given(st.binary(max_size=300))
def test_any_ground_truth_is_read_or_refused(text: bytes) -> None:
    try:
        ids = ground_truth(text, 1000, "devkit")
    except SourceError:
        return
    assert all(1 <= i <= 1000 for i in ids)


@given(st.binary(max_size=400))
def test_any_mat_file_is_looked_through(data: bytes) -> None:
    wnids_of(b"x" * 128 + data)
    wnids_of(mat(["n00000001"])[: len(data)] + data)
