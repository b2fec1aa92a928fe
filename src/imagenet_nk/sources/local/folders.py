"""Images in one folder a class."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from imagenet_nk.errors import SourceError
from imagenet_nk.formats.hidden import is_hidden
from imagenet_nk.formats.magic import HEAD, IMAGE_SUFFIXES, sniff
from imagenet_nk.image_ids import WNID
from imagenet_nk.storage.locators import path_to_text

MAX_BYTES = 2**28  # of one image file; ImageNet's largest has 15 MB


class Listing(NamedTuple):
    """The images of a class, as far as they could be listed."""

    files: dict[str, str]  # name -> address, sorted by name
    incomplete_reason: str = ""  # why some may be missing, one line; "" = all are listed


class ClassFolders:
    """`<folder>/<wnid>/*.jpg`, or one folder deeper as in Tiny ImageNet's `<wnid>/images/*.JPEG`."""

    def __init__(self, folder: Path, wnids: Collection[str] | Mapping[str, str]) -> None:
        """`wnids`: of the class folders, with the folders below `folder` that they lie in, if they do."""
        self.description = f"class folders in {folder}"
        self.wnids = frozenset(wnids)
        around = wnids if isinstance(wnids, Mapping) else dict.fromkeys(wnids, "")
        self._parents = {wnid: (folder / below).absolute() for wnid, below in around.items()}
        self.folders = tuple(set(self._parents.values()))

    def list_images(self, wnid: str) -> Listing:
        if wnid not in self.wnids:
            return Listing({})
        folder = f"{self._parents[wnid]}/{wnid}"
        try:  # sorted: which of two files with one stem gets `=2` depends on names alone
            return Listing(dict(sorted(_images(folder, deeper=True))))
        except OSError as error:
            raise SourceError(f"{error.filename or folder} cannot be listed: {error.strerror}") from error


def list_class_folders(folder: Path) -> frozenset[str]:
    """Names of the sub-folders that are WNIDs. Raises SourceError."""
    try:
        with os.scandir(folder) as items:
            return frozenset(item.name for item in items if WNID.match(item.name) and item.is_dir())
    except OSError as error:
        raise SourceError(f"{folder} cannot be listed: {error.strerror}") from error


def _images(folder: str, deeper: bool) -> Iterator[tuple[str, str]]:
    """Name and address of each image: by its suffix, since asking for file types costs more than names.

    Only what has no suffix at all is opened, and is an image by its first bytes.
    """
    for name in sorted(os.listdir(folder)):  # noqa: PTH208 - half the time of iterdir
        path = f"{folder}/{name}"
        if is_hidden(name):
            continue
        if name.lower().endswith(IMAGE_SUFFIXES) or ("." not in name and _begins_as_image(path)):
            yield name, path if path.isascii() else path_to_text(path)
        elif deeper and os.path.isdir(path):  # noqa: PTH112
            yield from ((f"{name}/{file}", address) for file, address in _images(path, deeper=False))


def _begins_as_image(path: str) -> bool:
    if not os.path.isfile(path):  # noqa: PTH113 - a pipe would never open
        return False
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            return sniff(file.read(HEAD)) is not None
    except OSError:
        return False


def read_file(path: Path) -> bytes:
    """The content of a file. Raises OSError, also if it is no regular file (a pipe never ends) or too large."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{path} is no file")
    if status.st_size > MAX_BYTES:
        raise OSError(f"{path} has {status.st_size} bytes; no image is read beyond {MAX_BYTES}")
    return path.read_bytes()
