"""Embeddings on disk, one row an image, so that no image is embedded twice by the same model.

A folder has two files that only grow: `embeddings.f32`, little-endian, and `images.tsv`, one line a row: a CRC-32, size
in bytes and stamp of the image (of a file its modification time in ns), its path or URL. The CRC-32 is that of the rest
of the line followed by the row, so a line that was moved or that names another image matches no row. A row counts once
its line is complete, so a run that is killed at any instant leaves a cache that the next one continues. A changed image
has another size or stamp and is embedded again; another list, or a larger nk, embeds only what is new.
"""

from __future__ import annotations

import json
import mmap
import os
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from isal.isal_zlib import crc32  # a tenth of the time of zlib's
from numpy.typing import NDArray

from imagenet_nk.errors import CentersError
from imagenet_nk.storage import files
from imagenet_nk.storage.naming import Status
from imagenet_nk.storage.run_lock import run_lock

ROWS, IMAGES, KEY = "embeddings.f32", "images.tsv", "model.json"
BATCH_SIZE = 1024  # rows whose checksums are compared at once
DTYPE = np.dtype("<f4")


class MappedRows:
    """(n, D) float32 rows of a file, mapped; the file may grow, and may be deleted."""

    def __init__(self, file: FileIO, count: int, dim: int) -> None:
        self.count, self.dim = count, dim
        size = count * dim * DTYPE.itemsize
        self._map = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else None
        self._matrix = np.frombuffer(self._map or b"", DTYPE).reshape(count, dim)

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, D) a copy of these rows. The pages that were read are given back, so memory does not grow with n."""
        values = np.asarray(self._matrix[rows], np.float32)
        if self._map is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
        return values


class RowCache:
    """One row of `dim` float32 numbers for each image so far. Checksums are compared when the cache is opened."""

    def __init__(self, folder: Path, dim: int, *, is_temporary: bool = False) -> None:
        """is_temporary: in files without a name, which are gone when the cache and its mapped rows are."""
        self.folder, self.dim = folder, dim
        self._row_bytes = DTYPE.itemsize * dim
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opened:
            self._rows_file, self._index_file = (
                opened.enter_context(_open_unnamed(folder) if is_temporary else _open(folder / name))
                for name in (ROWS, IMAGES)
            )
            self._rows: dict[Status, int] = {}
            self._count, self._index_bytes = 0, 0
            self._recover()
            weakref.finalize(self, opened.pop_all().close)

    def find(self, images: Sequence[Status | None]) -> NDArray[np.int64]:
        """(N,) the row of each image; -1 for one that has none, or None for a file that does not exist."""
        return np.array([self._rows.get(image, -1) if image else -1 for image in images], np.int64)

    def append(self, images: Sequence[Status | None], values: NDArray[Any]) -> NDArray[np.int64]:
        """Add (n, D) rows of n images; returns their row numbers. Later runs do not find an image that is None.

        Raises CentersError if the disk takes no more; later calls may succeed all the same.
        """
        rows = np.ascontiguousarray(values, dtype=DTYPE)
        statuses = [image if image and _fits_a_line(image.name) else Status("", 0, 0) for image in images]
        lines = [f"{image.size}\t{image.stamp}\t{image.name}".encode() for image in statuses]
        sums = [crc32(row, crc32(line)) for row, line in zip(rows, lines, strict=True)]
        index = b"".join(b"%08x\t%b\n" % line for line in zip(sums, lines, strict=True))
        try:
            _write_at(self._rows_file, self._count * self._row_bytes, rows.tobytes())
            _write_at(self._index_file, self._index_bytes, index)
        except OSError as error:
            raise CentersError(
                f"cannot write {self.folder}: {error.strerror}; free space, or type dataset.dir=ELSEWHERE"
            ) from error
        numbers = np.arange(self._count, self._count + len(statuses))
        self._rows |= {image: row for image, row in zip(statuses, numbers.tolist(), strict=True) if image.name}
        self._count, self._index_bytes = self._count + len(statuses), self._index_bytes + len(index)
        return numbers

    def map_rows(self) -> MappedRows:
        """The rows so far; they can be read after the cache was closed."""
        return MappedRows(self._rows_file, self._count, self.dim)

    def _recover(self) -> None:
        """Read the index, and drop what a killed run left incomplete and rows that do not match their checksum."""
        lines = self._index_file.readall().split(b"\n")[:-1]
        complete_rows = os.fstat(self._rows_file.fileno()).st_size // self._row_bytes
        lines = lines[:complete_rows]
        self._count = len(lines)
        self._index_bytes = sum(map(len, lines)) + len(lines)
        self._index_file.truncate(self._index_bytes)
        self._rows_file.truncate(self._count * self._row_bytes)
        rows = self.map_rows()
        for first in range(0, self._count, BATCH_SIZE):
            part = np.arange(first, min(first + BATCH_SIZE, self._count))
            for row, values in zip(part.tolist(), rows.read(part), strict=True):
                if image := checked_image(lines[row], values):
                    self._rows[image] = row


def checked_image(line: bytes, values: NDArray[np.float32]) -> Status | None:
    """The image of a line of the index; None for a line that no run wrote, or whose checksum is not that of the row."""
    checksum, _, rest = line.partition(b"\t")
    fields = rest.decode(errors="replace").split("\t", 2)
    try:
        expected, image = int(checksum, 16), Status(fields[2], int(fields[0]), int(fields[1]))
    except (ValueError, IndexError):
        return None
    return image if image.name and expected == crc32(values, crc32(rest)) else None


def _open(path: Path) -> FileIO:
    return FileIO(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")


def _open_unnamed(folder: Path) -> FileIO:
    return tempfile.TemporaryFile(dir=folder, buffering=0)


def _write_at(file: FileIO, end: int, data: bytes) -> None:
    """Write after the first `end` bytes of a file; a write that fails leaves nothing there."""
    view = memoryview(data)
    try:
        file.seek(end)
        while view:
            view = view[file.write(view) :]
    except OSError:
        with suppress(OSError):
            file.truncate(end)
        raise


def _fits_a_line(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return "\n" not in name


@contextmanager
def open_cache(parent: Path, name: str, key: Mapping[str, str | int], dim: int) -> Iterator[RowCache]:
    """The embeddings that `key` identifies, for this process alone; another run waits until they are free."""
    text = json.dumps(dict(sorted(key.items())))
    folder = parent / "embeddings" / f"{name.replace('/', '_')}-{sha256(text.encode()).hexdigest()[:16]}"
    with ExitStack() as stack:
        with _as_centers_error(folder):
            files.write_text(folder / KEY, text + "\n")
            stack.enter_context(run_lock(folder / "lock"))
            cache = RowCache(folder, dim)
        yield cache


@contextmanager
def open_temporary_cache(parent: Path, dim: int) -> Iterator[RowCache]:
    """An empty cache that leaves no file in the folder, even if the process is killed."""
    with _as_centers_error(parent):
        cache = RowCache(parent, dim, is_temporary=True)
    yield cache


@contextmanager
def _as_centers_error(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CentersError(
            f"cannot use {error.filename or folder}: {error.strerror}; mend or remove it, or type dataset.dir=ELSEWHERE"
        ) from error
