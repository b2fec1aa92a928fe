"""The layouts in which people keep ImageNet, and how to tell which one a folder is."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote_to_bytes

from imagenet_nk.config import WNID
from imagenet_nk.errors import SourceError
from imagenet_nk.sources.base import EXTENSIONS

PLACES = (".", "train", "ILSVRC/Data/CLS-LOC/train", "Data/CLS-LOC/train", "CLS-LOC/train")  # torchvision's, Kaggle's


class Layout(Protocol):
    """One way to keep the images of classes."""

    what: str  # for the log: "class folders in /data/train"
    wnids: frozenset[str]  # of all classes that it has

    def files(self, wnid: str) -> dict[str, str]:
        """File name -> place of each image of a class, sorted by name. Raises SourceError if it cannot be listed."""

    def read(self, place: str) -> tuple[bytes, Path | None]:
        """The bytes at a place of `files`, and the file that holds exactly these. Raises OSError."""


def recognise(root: Path) -> Layout:
    """The layout of what lies at `root`. Raises SourceError if it is none that we know."""
    if not root.exists():
        raise SourceError(f"source.root={root} is not there; name the folder that holds <wnid>/ folders")
    if not root.is_dir():
        raise SourceError(f"source.root={root} is no folder; name the folder that holds <wnid>/ folders")
    for place in PLACES:
        folder = root / place
        if folder.is_dir() and (wnids := class_folders(folder)):
            return Folders(folder, wnids)
    raise SourceError(
        f"source.root={root} holds no ImageNet that we know: neither <wnid>/ folders (n01440764/, ...) nor train/ or "
        "ILSVRC/Data/CLS-LOC/train/ with them"
    )


def class_folders(folder: Path) -> frozenset[str]:
    """Names of the sub-folders that are WNIDs."""
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if WNID.match(entry.name) and entry.is_dir())
    except OSError as error:
        raise SourceError(f"{folder} cannot be listed: {error.strerror}") from error


class Folders:
    """`<folder>/<wnid>/*.jpg`, or one folder deeper as in Tiny ImageNet's `<wnid>/images/*.JPEG`."""

    def __init__(self, folder: Path, wnids: frozenset[str]) -> None:
        self.what = f"class folders in {folder}"
        self.wnids = wnids
        self._folder = folder.absolute()

    def files(self, wnid: str) -> dict[str, str]:
        folder = f"{self._folder}/{wnid}"
        try:
            return dict(sorted(_images(folder, deeper=True)))
        except OSError as error:
            raise SourceError(f"{error.filename or folder} cannot be listed: {error.strerror}") from error

    def read(self, place: str) -> tuple[bytes, Path]:
        path = to_path(place)
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would never end
            raise OSError(f"{path} is no file")
        return path.read_bytes(), path


def _images(folder: str, deeper: bool) -> Iterator[tuple[str, str]]:
    """Names, and paths to their files. Told by extension alone: asking for types costs more than names."""
    for name in os.listdir(folder):  # noqa: PTH208 - half the time of iterdir
        if name.lower().endswith(EXTENSIONS):
            yield name, to_place(f"{folder}/{name}")
        elif deeper and os.path.isdir(inner := f"{folder}/{name}"):  # noqa: PTH112
            yield from ((f"{name}/{file}", place) for file, place in _images(inner, deeper=False))


def to_place(path: str) -> str:
    """The path itself, or a file: URI for one that is no text: ledger and manifest hold UTF-8 only."""
    if path.isascii():
        return path
    try:
        path.encode()
    except UnicodeEncodeError:
        return Path(path).as_uri()
    return path


def to_path(place: str) -> Path:
    """The inverse of to_place."""
    if place.startswith("file:///"):
        return Path(os.fsdecode(unquote_to_bytes(place.removeprefix("file://"))))
    return Path(place)
