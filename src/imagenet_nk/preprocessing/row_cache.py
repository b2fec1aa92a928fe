"""Embeddings on disk, one row an image, so that no image is embedded twice by the same model.

A folder has two files that only grow: `embeddings.f32`, little-endian, and `images.tsv`, one line a row:
a CRC-32, bytes and stamp of the image (of a file its modification time in ns), its path or URL. The CRC-32 is that of
the rest of the line followed by the row: lines that have changed places, or name another image, vouch for no row. A row
counts once its line is whole, so a run that is killed at any instant leaves a store that the next one goes on with.
An image that was changed has another size or stamp and is embedded again; another list, or a larger nk, embeds only
what is new.
"""

from __future__ import annotations

import itertools
import json
import os
import weakref
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
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

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Kept:
    """Embeddings on disk."""

    rows: Mapping[str, int]  # by absolute path or URL
    moved: Mapping[tuple[str, int], int]  # by the end of the path, as images/<wnid>/<file>, and size in bytes
    matrix: np.memmap[tuple[int, int], np.dtype[np.float32]]

    def find(self, images: Iterable[tuple[Path, int]]) -> NDArray[np.int64]:
        """(N,) the row of each image, given with its size in bytes; -1 for one that has no embedding.

        A data set that was moved or copied is known again: paths were written down in full.
        """
        found = []
        for path, size in images:
            name = files.full_name(path)
            row = self.rows.get(name)
            found.append(self.moved.get((_end(name), size), -1) if row is None else row)
        return np.array(found, np.int64)

    def read(self, rows: NDArray[np.int64]) -> Floats:
        """(n, D) float32."""
        return np.asarray(self.matrix[rows], dtype=np.float32)


def find(folders: Sequence[Path], made_with: Mapping[str, str]) -> Kept | None:
    """The embeddings that the centers with this metadata were made of; None where they were not kept."""
    for model in (model for folder in folders for model in sorted(folder.glob(f"embeddings/*/{KEY}"))):
        try:
            key = json.loads(model.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        same = key.get("weights_sha256") == made_with.get("weights_sha256")
        if same and key.get("pixels") == made_with.get("transform") and (kept := _opened(model.parent, key["dim"])):
            return kept
    return None


def _opened(folder: Path, dim: int) -> Kept | None:
    """Lines of images.tsv: checksum, bytes, time, path, tabs between. A torn last line or row does not count."""
    try:
        lines = (folder / IMAGES).read_bytes().split(b"\n")[:-1]
        count = min(len(lines), (folder / ROWS).stat().st_size // (4 * dim))
    except OSError:
        return None
    if not count:
        return None
    rows, moved = dict[str, int](), dict[tuple[str, int], int]()
    for row, line in enumerate(lines[:count]):
        try:
            _, size, _, name = line.decode(errors="replace").split("\t", 3)
            rows[name] = moved[_end(name), int(size)] = row
        except ValueError:  # a line that no run wrote
            continue
    return Kept(rows, moved, np.memmap(folder / ROWS, "<f4", "r", shape=(count, dim)))


def _end(name: str) -> str:
    """What a path keeps when its data set moves."""
    return "/".join(name.replace(os.sep, "/").split("/")[-3:])


ROWS, IMAGES, KEY = "embeddings.f32", "images.tsv", "model.json"  # of embeddings; the report reads them as well
BATCH = 1024  # rows that are checked at once


class RowCache:
    """One row of `dim` float32 numbers for each image so far. Checksums are compared when the cache is opened."""

    def __init__(self, folder: Path, dim: int) -> None:
        self.folder, self.dim, self.dtype = folder, dim, np.dtype("<f4")
        self._bytes_each = self.dtype.itemsize * dim
        self._rows_file = folder / ROWS
        self._images_file = folder / IMAGES
        folder.mkdir(parents=True, exist_ok=True)
        self._rows: dict[Status, int] = {}
        self._seen: dict[Path, Status] = {}  # images as they stood when they were looked for
        self._count, self._index_bytes = 0, 0
        self._sums, self._starts = array("I"), array("I")  # by row: its CRC-32, and that of its image, which begins it
        self._open: dict[Path, FileIO] = {}
        self._recover()

    def find(self, paths: Sequence[Path]) -> NDArray[np.int64]:
        """(N,) the row of each image; -1 for one that is not there."""
        self._seen = {path: image for path, image in zip(paths, _images(paths), strict=True) if image}
        return np.array(
            [self._rows.get(image, -1) if (image := self._seen.get(path)) else -1 for path in paths], np.int64
        )

    def append(self, paths: Sequence[Path], values: NDArray[Any]) -> None:
        """Keep (n, D) rows of n images; what is not whole on disk is as if it had not been.

        Raises CentersError if the disk takes no more; later rows may be kept all the same.
        """
        rows = np.ascontiguousarray(values, dtype=self.dtype)
        images = [self._seen.get(path) or next(iter(_images([path]))) or Status("", 0, 0) for path in paths]
        names = [f"{one.size}\t{one.stamp}\t{one.name}".encode() for one in images]
        starts = [crc32(name) for name in names]
        sums = [crc32(row, start) for row, start in zip(rows, starts, strict=True)]
        index = b"".join(b"%08x\t%b\n" % line for line in zip(sums, names, strict=True))
        try:
            _put(self._opened(self._rows_file), self._count * self._bytes_each, rows.tobytes())
            _put(self._opened(self._images_file), self._index_bytes, index)
        except OSError as error:
            raise CentersError(
                f"cannot write {self._rows_file.parent}: {error.strerror}; free space, or type dataset.dir=ELSEWHERE"
            ) from error
        self._rows |= {image: self._count + offset for offset, image in enumerate(images)}
        self._sums.extend(sums)
        self._starts.extend(starts)
        self._count, self._index_bytes = self._count + len(rows), self._index_bytes + len(index)

    def read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """(n, D) of those rows. Read rather than mapped: what a pass has seen does not stay in its memory."""
        result = np.empty((len(rows), self.dim), self.dtype)
        if not len(rows):
            return result
        starts = np.flatnonzero(np.diff(rows, prepend=-2) != 1)  # of neighbours in the file, read at once
        with self._rows_file.open("rb", buffering=0) as file:
            for first, end in itertools.pairwise([*starts.tolist(), len(rows)]):
                file.seek(int(rows[first]) * self._bytes_each)
                file.readinto(result[first:end].data)
        return result

    def _opened(self, file: Path) -> FileIO:
        """To be written: open as long as this store is there, for opening costs more than what a batch's rows do."""
        if file not in self._open:
            self._open[file] = file.open("r+b" if file.exists() else "wb", buffering=0)
            weakref.finalize(self, self._open[file].close)
        return self._open[file]

    def checksums_ok(self, rows: NDArray[np.int64], values: NDArray[Any]) -> NDArray[np.bool_]:
        """(n,) whether the (n, D) values that were read of those rows were written there, and of these images."""
        asked = zip(rows.tolist(), values, strict=True)
        return np.array([self._sums[row] == crc32(value, self._starts[row]) for row, value in asked], np.bool_)

    def _recover(self) -> None:
        """Read the index, drop what a killed run left half-written, and what does not match its checksum."""
        lines = self._images_file.read_bytes().split(b"\n")[:-1] if self._images_file.exists() else []
        whole = self._rows_file.stat().st_size // self._bytes_each if self._rows_file.exists() else 0
        self._count = min(len(lines), whole)
        lines = lines[: self._count]
        self._index_bytes = sum(map(len, lines)) + len(lines)
        for file, size in ((self._images_file, self._index_bytes), (self._rows_file, self._count * self._bytes_each)):
            if file.exists():
                os.truncate(file, size)
        for first in range(0, self._count, BATCH):
            part = range(first, min(first + BATCH, self._count))
            images = [self._recall(lines[row]) for row in part]
            rows = np.array(part)
            good = self.checksums_ok(rows, self.read(rows))
            self._rows |= {image: row for row, image, fine in zip(part, images, good, strict=True) if image and fine}

    def _recall(self, line: bytes) -> Status | None:
        """The image of a line of the index; None for a line that no run wrote."""
        self._starts.append(crc32(line.partition(b"\t")[2]))
        fields = line.decode(errors="replace").split("\t", 3)
        try:
            checksum, image = int(fields[0], 16), Status(fields[3], int(fields[1]), int(fields[2]))
            self._sums.append(checksum)
        except (ValueError, IndexError, OverflowError):
            self._sums.append(0)
            return None
        return image


def _put(file: FileIO, end: int, data: bytes) -> None:
    """Write behind the first `end` bytes of a file; a write that fails leaves nothing there."""
    view = memoryview(data)
    try:
        file.seek(end)
        while view:
            view = view[file.write(view) :]
    except OSError:
        with suppress(OSError):
            file.truncate(end)
        raise


def _images(paths: Sequence[Path]) -> list[Status | None]:
    """Of each image; None for a file that is not there, or whose path no line can hold."""
    return [image if image and _fits(image.name) else None for image in files.stat_many(paths)]


def _fits(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return "\n" not in name


@contextmanager
def open_cache(cache: Path, name: str, key: Mapping[str, str | int], dim: int) -> Iterator[RowCache]:
    """The embeddings that `key` identifies, for this process alone; another run waits until they are free."""
    text = json.dumps(dict(sorted(key.items())))
    folder = cache / "embeddings" / f"{name}-{sha256(text.encode()).hexdigest()[:16]}"
    with ExitStack() as stack:
        try:
            files.write_text(folder / KEY, text + "\n")
            stack.enter_context(run_lock(folder / "lock"))
            kept = RowCache(folder, dim)
        except OSError as error:
            what = error.filename or folder
            raise CentersError(
                f"cannot use {what}: {error.strerror}; mend or remove it, or type dataset.dir=ELSEWHERE"
            ) from error
        yield kept
