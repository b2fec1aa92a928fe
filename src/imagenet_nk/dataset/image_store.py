"""The image files of a data set. A file under its final name is always complete.

A valid image is written to images/ as soon as it is inspected, before its class decides whether to keep it: so a kill
loses no download, and nearly all are kept. arrange() moves the others to spare/ when the class is decided.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imagenet_nk.config.sources import Materialize
from imagenet_nk.dataset.folder_layout import IMAGES, SPARE
from imagenet_nk.engine.cpu_count import cores
from imagenet_nk.errors import DatasetError
from imagenet_nk.storage.files import atomic_write, io_errors, is_remote, sha256, write_bytes
from imagenet_nk.storage.naming import PART

RESERVE = 64 * 2**20  # bytes left free, so that the ledger and the lists can still be written


class ImageStore:
    """images/<wnid>/<name> for what is kept, spare/<wnid>/<name> for valid images fetched ahead of need.

    Thread-safe. Raises DatasetError, one line, when the folder is unwritable or the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writers = cores()  # threads that inspect and write at once
        with as_dataset_error(folder):
            for sub in (IMAGES, SPARE):
                (folder / sub).mkdir(parents=True, exist_ok=True)

    def write(self, wnid: str, name: str, data: bytes) -> None:
        """Write images/<wnid>/<name>, complete or not at all."""
        with as_dataset_error(self.folder):
            write_bytes(self.folder.joinpath(IMAGES, wnid, name), data)

    def link_or_copy(self, wnid: str, name: str, original: Path, how: Materialize) -> None:
        """Make images/<wnid>/<name> a link to or a copy of a local file. A link is hard where it can be."""
        with as_dataset_error(self.folder), atomic_write(self.folder / IMAGES / wnid / name) as part:
            if how == Materialize.copy or not _link(original, part):
                shutil.copyfile(original, part)

    def sizes(self, wnid: str) -> dict[str, int]:
        """Bytes by name of every file of a class, kept or spare. What a killed run left incomplete is removed."""
        with as_dataset_error(self.folder):
            entries = [*self._entries(SPARE, wnid), *self._entries(IMAGES, wnid)]
            return {entry.name: entry.stat().st_size for entry in entries}

    def sha256(self, wnid: str, name: str) -> str | None:
        """Hexadecimal SHA-256 of a file, of that in images/ if spare/ has one too; None if it cannot be read."""
        for sub in (IMAGES, SPARE):
            with suppress(OSError):
                return sha256(self.folder / sub / wnid / name)
        return None

    def arrange(self, wnid: str, keep: set[str], unwanted: set[str]) -> None:
        """Make images/<wnid> hold exactly `keep`; `unwanted` is removed, everything else is spare."""
        images, spare = self.folder / IMAGES / wnid, self.folder / SPARE / wnid
        with as_dataset_error(self.folder):
            for name in [entry.name for entry in self._entries(SPARE, wnid)]:
                if name in unwanted:
                    (spare / name).unlink()
                elif name in keep:
                    images.mkdir(exist_ok=True)
                    if not (images / name).exists():  # else that one was fetched anew, because this is damaged
                        (spare / name).rename(images / name)
                    else:
                        (spare / name).unlink()
            for name in [entry.name for entry in self._entries(IMAGES, wnid)]:
                if name in unwanted:
                    (images / name).unlink()
                elif name not in keep:
                    spare.mkdir(exist_ok=True)
                    _move(images / name, spare / name)

    def refresh(self) -> None:
        """Forget what was listed: other processes may have written."""

    def free_bytes(self) -> int:
        """Bytes that may still be written, less the reserve."""
        return shutil.disk_usage(self.folder).free - RESERVE

    def _entries(self, sub: str, wnid: str) -> Iterator[os.DirEntry[str]]:
        try:
            scan = os.scandir(self.folder / sub / wnid)
        except (FileNotFoundError, NotADirectoryError):
            return
        with scan as entries:
            for entry in entries:
                if entry.name.endswith(PART):
                    Path(entry.path).unlink(missing_ok=True)
                elif entry.is_file():
                    yield entry


def _move(file: Path, target: Path) -> None:
    """Rename, also onto another hard link of the same file, where the system's rename does nothing."""
    file.replace(target)
    file.unlink(missing_ok=True)


def _link(original: Path, link: Path) -> bool:
    """Hard link, else symbolic link; False where the file system has neither.

    A link to what `original` leads to, if that is a symbolic link itself: a relative one would lead nowhere from here.
    """
    target = original.resolve()
    try:
        os.link(target, link)
    except OSError:
        try:
            link.symlink_to(target)
        except OSError:
            return False
    return True


@contextmanager
def as_dataset_error(folder: Path) -> Iterator[None]:
    """Turn errors of the file system into a DatasetError of one line about the data set folder."""
    try:
        yield
    except io_errors() as error:
        raise _dataset_error(error, folder) from error


def _dataset_error(error: Exception, folder: Path) -> DatasetError:
    if is_remote(folder) or not isinstance(error, OSError):
        from imagenet_nk.storage import fsspec_store

        return DatasetError(fsspec_store.describe_error(error, folder))
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DatasetError(f"no space left for {folder}: free some, or choose another dataset.dir; then run it again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return DatasetError(f"{folder} cannot be written ({error.strerror}): choose another dataset.dir")
    where = error.filename2 or error.filename
    if isinstance(error, NotADirectoryError | FileExistsError):
        where = next((parent for parent in Path(where).parents if parent.is_file()), where)
        return DatasetError(f"{where} is a file where a folder must be: move it away, then run it again")
    return DatasetError(f"{folder}: {error.strerror or error}: {where}")
