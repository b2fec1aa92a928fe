"""What an exporter is given, and what it must do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from imagenet_nk.errors import ConfigError

SPLIT_FOLDERS = {"eval": "val", "train": "train"}  # the split of the manifest, as torchvision's layout calls it


class ExportClass(NamedTuple):
    """A class that has images."""

    label: int
    wnid: str
    name: str


class ExportImage(NamedTuple):
    """A kept image."""

    path: Path
    image_id: str
    label: int
    wnid: str
    split: str  # "eval" or "train"
    width: int
    height: int


@dataclass(frozen=True)
class ExportData:
    """A collected data set: images in the order of the lists, classes by label."""

    folder: Path  # of the data set, with the manifest
    images: Sequence[ExportImage]
    classes: Sequence[ExportClass]

    def splits(self) -> dict[str, list[ExportImage]]:
        """Images by split, without splits that have none."""
        parts = {split: [image for image in self.images if image.split == split] for split in SPLIT_FOLDERS}
        return {split: images for split, images in parts.items() if images}

    def class_index(self) -> dict[int, int]:
        """The position of each label among the classes, 0..K-1: what most tools call the class index."""
        return {one.label: index for index, one in enumerate(self.classes)}


class Exporter(Protocol):
    """One form of hand-over. Its constructor takes the keys of its group and checks that its library is there."""

    def write(self, data: ExportData, folder: Path) -> None:
        """Write into an empty folder. Raises OSError."""


def require_library(module: str, export: str) -> None:
    """Raise ConfigError unless a library can be imported."""
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise ConfigError(f"export={export} needs the package {module}: pip install 'imagenet-nk[export]'")
