"""Images as files in one folder a class, and how a local path is written as a candidate's url."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from imagenet_nk.errors import SourceError
from imagenet_nk.formats.magic import IMAGE_SUFFIXES
from imagenet_nk.image_ids import WNID
from imagenet_nk.storage.locators import path_to_text, text_to_path

MAX_BYTES = 2**28  # of one image file; ImageNet's largest has 15 MB


class Listing(NamedTuple):
    """The images of a class, as far as they could be listed."""

    files: dict[str, str]  # name -> place, sorted by name
    lacks: str = ""  # why that may not be all, one line; "" = it is all


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
        self.folder = folder.absolute()

    def files(self, wnid: str) -> Listing:
        if wnid not in self.wnids:
            return Listing({})
        folder = f"{self.folder}/{wnid}"
        try:  # sorted: which of one stem is `=2` depends on names alone
            return Listing(dict(sorted(_images(folder, deeper=True))))
        except OSError as error:
            raise SourceError(f"{error.filename or folder} cannot be listed: {error.strerror}") from error

    def read(self, place: str) -> tuple[bytes, Path]:
        path = text_to_path(place)
        return read_file(path), path


def _images(folder: str, deeper: bool) -> Iterator[tuple[str, str]]:
    """Names, and paths to their files. Told by extension alone: asking for types costs more than names."""
    for name in sorted(os.listdir(folder)):  # noqa: PTH208 - half the time of iterdir
        path = f"{folder}/{name}"
        if name.lower().endswith(IMAGE_SUFFIXES):
            yield name, path if path.isascii() else path_to_text(path)
        elif deeper and os.path.isdir(path):  # noqa: PTH112
            yield from ((f"{name}/{file}", place) for file, place in _images(path, deeper=False))


def read_file(path: Path) -> bytes:
    """The whole file. Raises OSError, also for what is no file (a pipe would never end) or no image's size."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{path} is no file")
    if status.st_size > MAX_BYTES:
        raise OSError(f"{path} has {status.st_size} bytes; no image is read beyond {MAX_BYTES}")
    return path.read_bytes()
