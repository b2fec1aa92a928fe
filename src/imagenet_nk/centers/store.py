"""Embeddings on disk, so that no image goes through the same model twice.

A folder a model holds two files that only grow: `embeddings.f32`, rows of D little-endian float32, and `images.tsv`,
one line a row: CRC-32 of the row, bytes and modification time of the image, its path. A row counts once its line is
whole, so a run that is killed at any instant leaves a store that the next one goes on with. An image that was changed
has another size or time and is embedded again; another list, or a larger nk, embeds only what is new.
"""

from __future__ import annotations

import json
import logging
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from imagenet_nk.centers.lanes import Floats

log = logging.getLogger(__name__)


class Image(NamedTuple):
    """An image file as it stands now."""

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> Image | None:
        """None for a file that is not there, or whose path no line can hold."""
        try:  # a link keeps its own name: the list names this path
            status = path.stat()
            name = os.path.abspath(path)  # noqa: PTH100
            name.encode()
        except (OSError, UnicodeEncodeError):
            return None
        return None if "\n" in name else cls(name, status.st_size, status.st_mtime_ns)


class Store:
    """The embeddings that one model gave so far."""

    def __init__(self, folder: Path, dim: int) -> None:
        self.dim = dim
        self._rows_file, self._images_file = folder / "embeddings.f32", folder / "images.tsv"
        folder.mkdir(parents=True, exist_ok=True)
        self._rows: dict[Image, int] = {}
        self._count = 0
        self._recover()

    def find(self, paths: Sequence[Path]) -> NDArray[np.int64]:
        """(N,) the row of each image; -1 for one that is not there."""
        return np.array([self._rows.get(image, -1) if (image := Image.of(path)) else -1 for path in paths], np.int64)

    def append(self, paths: Sequence[Path], embeddings: Floats) -> None:
        """Keep (n, D) embeddings of n images; what is not whole on disk is as if it had not been."""
        rows = np.ascontiguousarray(embeddings, dtype="<f4")
        with self._rows_file.open("ab") as file:
            file.write(rows.tobytes())
        lines = []
        for offset, (path, row) in enumerate(zip(paths, rows, strict=True)):
            image = Image.of(path) or Image("", 0, 0)
            self._rows[image] = self._count + offset
            lines.append(f"{zlib.crc32(row.tobytes()):08x}\t{image.size}\t{image.mtime_ns}\t{image.path}\n")
        with self._images_file.open("a", encoding="utf-8", newline="") as file:
            file.writelines(lines)
        self._count += len(rows)

    def read(self, rows: NDArray[np.int64]) -> Floats:
        """(n, D) float32 of those rows."""
        if not len(rows):
            return np.empty((0, self.dim), np.float32)
        kept = np.memmap(self._rows_file, "<f4", "r", shape=(self._count, self.dim))
        return np.asarray(kept[rows], dtype=np.float32)

    def _recover(self) -> None:
        """Read the index, drop what a killed run left half-written, and what does not match its checksum."""
        lines = self._images_file.read_bytes().split(b"\n")[:-1] if self._images_file.exists() else []
        bytes_each = 4 * self.dim
        whole = self._rows_file.stat().st_size // bytes_each if self._rows_file.exists() else 0
        self._count = min(len(lines), whole)
        lines = lines[: self._count]
        for file, size in (
            (self._images_file, sum(map(len, lines)) + len(lines)),
            (self._rows_file, self._count * bytes_each),
        ):
            if file.exists():
                os.truncate(file, size)
        if not self._count:
            return
        kept = np.memmap(self._rows_file, "<f4", "r", shape=(self._count, self.dim))
        for row, line in enumerate(lines):
            checksum, length, mtime, path = line.decode(errors="replace").split("\t", 3)
            if int(checksum, 16) == zlib.crc32(kept[row].tobytes()):
                self._rows[Image(path, int(length), int(mtime))] = row


@contextmanager
def opened(cache: Path, name: str, key: Mapping[str, str | int], dim: int) -> Iterator[Store]:
    """The store of the model that `key` identifies, for this process alone; another run waits until it is free."""
    text = json.dumps(dict(sorted(key.items())))
    folder = cache / "embeddings" / f"{name}-{sha256(text.encode()).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("another run is embedding with %s; waiting for it", name)
        lock.acquire()
    try:
        (folder / "model.json").write_text(text + "\n", encoding="utf-8")
        yield Store(folder, dim)
    finally:
        lock.release()
