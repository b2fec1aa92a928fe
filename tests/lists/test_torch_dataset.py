from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader

import imagenet_nk
from imagenet_nk.errors import ListError
from imagenet_nk.lists.list_file import Entry, write_list

COLOURS = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0)]


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for number, colour in enumerate(COLOURS):
        Image.new("RGB", (8, 6), colour).save(tmp_path / "images" / f"a {number}.png")
    Image.new("CMYK", (8, 6), (0, 0, 0, 255)).save(tmp_path / "images" / "cmyk.jpg")
    entries = [Entry(f"images/a {number}.png", 2 * number) for number in range(len(COLOURS))]
    write_list(tmp_path / "eval.txt", [*entries, Entry("images/cmyk.jpg", 1)])
    return tmp_path / "eval.txt"


def test_item_is_image_and_label(listed: Path) -> None:
    data = imagenet_nk.ImageList(listed)
    assert len(data) == 5
    assert data.labels == [0, 2, 4, 6, 1]
    assert data.entries[3] == Entry("images/a 3.png", 6)
    image, label = data[3]
    assert (image.mode, image.size, image.getpixel((1, 1)), label) == ("RGB", (8, 6), (250, 250, 0), 6)
    black, _ = data[4]
    assert (black.mode, black.getpixel((0, 0))) == ("RGB", (0, 0, 0))


@pytest.mark.parametrize("workers", [0, 2])
def test_data_loader_makes_batches(listed: Path, workers: int) -> None:
    data = imagenet_nk.ImageList(str(listed), transform=np.array)
    (images, labels), *rest = DataLoader(data, batch_size=4, num_workers=workers)
    assert images.shape == (4, 6, 8, 3)
    assert [tuple(image[0, 0].tolist()) for image in images] == COLOURS
    assert labels.tolist() == [0, 2, 4, 6]
    assert len(rest) == 1


@pytest.mark.parametrize(("data", "workers"), [(None, 0), (b"no image", 0), ("cut", 0), ("cut", 1)])
def test_unreadable_image_is_named(listed: Path, data: bytes | str | None, workers: int) -> None:
    file = listed.parent / "images" / "a 2.png"
    whole = file.read_bytes()
    file.unlink()
    if data is not None:
        file.write_bytes(whole[:-30] if data == "cut" else data)
    images = imagenet_nk.ImageList(listed, transform=np.array)
    with pytest.raises(ListError, match=r"cannot read the image .*a 2\.png"):
        list(DataLoader(images, num_workers=workers))


def test_package_does_not_import_torch() -> None:
    code = "import sys, imagenet_nk; assert 'ImageList' in dir(imagenet_nk); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": "src"}).returncode == 0


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        imagenet_nk.nothing  # noqa: B018
