from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pandas as pd
import pytest

from imagenet_nk.dataset import manifest
from imagenet_nk.dataset.manifest import MANIFEST_COLUMNS, manifest_frame
from imagenet_nk.errors import DatasetError
from imagenet_nk.lists.verify import FILE, verify

A = "n01440764"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set of four images."""
    folder = tmp_path / "set"
    (folder / "images" / A).mkdir(parents=True)
    rows = []
    for number in range(4):
        data = b"image %d" % number
        path = f"images/{A}/{number}.jpg"
        (folder / path).write_bytes(data)
        row = {"path": path, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        rows.append(dict.fromkeys(MANIFEST_COLUMNS, "") | {"label": 0, "width": 1, "height": 1} | row)
    with manifest.open_writer(folder) as file:
        file.add(list(manifest_frame(rows).itertuples(index=False, name=None)))
    return folder


def test_data_set_as_its_manifest_says(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert verify(folder, tmp_path) == 0
    assert "4 images (0.0 MiB) read, all as the manifest says" in caplog.text
    assert not (tmp_path / FILE).exists()


@pytest.mark.timeout(20)
def test_every_difference_is_named(folder: Path, tmp_path: Path) -> None:
    images = folder / "images" / A
    images.joinpath("0.jpg").write_bytes(b"IMAGE 0")
    images.joinpath("1.jpg").write_bytes(b"image")
    images.joinpath("2.jpg").unlink()
    images.joinpath("3.jpg").unlink()
    os.mkfifo(images / "3.jpg")
    images.joinpath("4.jpg").write_bytes(b"image 4")
    assert verify(folder, tmp_path) == 5
    table = pd.read_csv(tmp_path / FILE).set_index("path")["problem"].to_dict()
    assert table == {
        f"images/{A}/0.jpg": "has other bytes of the same size",
        f"images/{A}/1.jpg": "has 5 bytes, not 7",
        f"images/{A}/2.jpg": "cannot be read: No such file or directory",
        f"images/{A}/3.jpg": "cannot be read: it is a FIFO, not a file",
        f"images/{A}/4.jpg": "is no image of the manifest",
    }


@pytest.mark.parametrize("keep", [0, 3, 500])
def test_manifest_that_is_cut_or_empty_is_one_line(folder: Path, tmp_path: Path, keep: int) -> None:
    path = folder / "manifest.parquet"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DatasetError, match=r"manifest\.parquet cannot be read .* writes it anew") as error:
        verify(folder, tmp_path)
    assert "\n" not in str(error.value)


def test_flipped_byte_of_the_manifest_is_one_line_or_a_difference(folder: Path, tmp_path: Path) -> None:
    path = folder / "manifest.parquet"
    whole = path.read_bytes()
    for at in range(4, len(whole), 97):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            verify(folder, tmp_path)
        except DatasetError as error:
            assert "\n" not in str(error)  # noqa: PT017 - many bytes of the footer do not matter
