"""A list file as a torch data set, for training and evaluation code outside this project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from torch.utils.data import Dataset

from imagenet_nk.errors import ListError
from imagenet_nk.formats import image_cost
from imagenet_nk.formats.pixels import open_image, to_rgb
from imagenet_nk.lists import list_file
from imagenet_nk.storage import files


class ImageList(Dataset[tuple[Any, int]]):
    """The images of train.txt or eval.txt: item i is (image, label), the image in RGB and through `transform`.

    Works with DataLoader workers. Raises ListError for a bad list, and for an image that cannot be read.
    """

    def __init__(self, path: Path | str, transform: Callable[[Image.Image], Any] | None = None) -> None:
        self.path = files.resolve(path)
        self.entries = list_file.read_list(self.path)
        self.transform = transform

    @property
    def labels(self) -> list[int]:
        """The label of each item, in order, for example for a balanced sampler."""
        return [entry.label for entry in self.entries]

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        entry = self.entries[index]
        image = load_rgb(list_file.resolve(self.path, entry))
        return (self.transform(image) if self.transform else image), entry.label


def load_rgb(file: Path) -> Image.Image:
    """The image in RGB as its pixels are stored: without EXIF rotation, like torchvision's loaders.

    Raises ListError that names the file if it is missing, cannot be decoded, or costs too much to decode.
    """
    try:
        data = file.read_bytes()
        image_cost.check(data)
        with open_image(data) as image:
            return to_rgb(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # all that Pillow raises
        raise ListError(f"cannot read the image {file}: {error}") from error
