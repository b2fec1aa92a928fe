"""Rows of numbers on disk, one an image: embeddings, so that no image meets the same model twice, and crops.

A folder has two files that only grow: `embeddings.f32` or `crops.u8`, little-endian, and `images.tsv`, one line a row:
CRC-32 of the row (0 where it is not checked), bytes and stamp of the image (of a file its modification time in ns), its
path or URL. A row counts once its line is whole, so a run that is killed at any instant leaves a store that the next
one goes on with. An image that was changed has another size or stamp and is embedded again; another list, or a larger
nk, embeds only what is new.
"""

from __future__ import annotations

import itertools
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagenet_nk import storage
from imagenet_nk.errors import CentersError
from imagenet_nk.lock import alone
from imagenet_nk.storage import Status

ROWS, IMAGES, KEY = "embeddings.f32", "images.tsv", "model.json"  # of embeddings; the report reads them as well
BATCH = 1024  # rows that are checked at once


class Store:
    """One row of `dim` numbers for each image so far: float32 with a checksum each, or uint8 without."""

    def __init__(self, folder: Path, dim: int, kind: type[np.float32] | type[np.uint8] = np.float32) -> None:
        self.dim, self.dtype = dim, np.dtype(kind).newbyteorder("<")
        self._checked = kind is np.float32
        self._rows_file = folder / (ROWS if self._checked else "crops.u8")
        self._images_file = folder / IMAGES
        folder.mkdir(parents=True, exist_ok=True)
        self._rows: dict[Status, int] = {}
        self._seen: dict[Path, Status] = {}  # images as they stood when they were looked for
        self._count = 0
        self._recover()

    def find(self, paths: Sequence[Path]) -> NDArray[np.int64]:
        """(N,) the row of each image; -1 for one that is not there."""
        self._seen = {path: image for path, image in zip(paths, _images(paths), strict=True) if image}
        return np.array(
            [self._rows.get(image, -1) if (image := self._seen.get(path)) else -1 for path in paths], np.int64
        )

    def append(self, paths: Sequence[Path], values: NDArray[Any]) -> None:
        """Keep (n, D) rows of n images; what is not whole on disk is as if it had not been."""
        rows = np.ascontiguousarray(values, dtype=self.dtype)
        with self._rows_file.open("ab") as file:
            file.write(rows.tobytes())
        lines = []
        for offset, (path, row) in enumerate(zip(paths, rows, strict=True)):
            image = self._seen.get(path) or next(iter(_images([path]))) or Status("", 0, 0)
            self._rows[image] = self._count + offset
            lines.append(f"{self._checksum(row):08x}\t{image.size}\t{image.stamp}\t{image.name}\n")
        with self._images_file.open("a", encoding="utf-8", newline="") as file:
            file.writelines(lines)
        self._count += len(rows)

    def read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """(n, D) of those rows. Read rather than mapped: what a pass has seen does not stay in its memory."""
        result = np.empty((len(rows), self.dim), self.dtype)
        if not len(rows):
            return result
        starts = np.flatnonzero(np.diff(rows, prepend=-2) != 1)  # of neighbours in the file, read at once
        with self._rows_file.open("rb") as file:
            for first, end in itertools.pairwise([*starts.tolist(), len(rows)]):
                file.seek(int(rows[first]) * self.dtype.itemsize * self.dim)
                file.readinto(result[first:end].data)
        return result

    def _checksum(self, row: NDArray[Any]) -> int:
        return zlib.crc32(row.tobytes()) if self._checked else 0

    def _recover(self) -> None:
        """Read the index, drop what a killed run left half-written, and what does not match its checksum."""
        lines = self._images_file.read_bytes().split(b"\n")[:-1] if self._images_file.exists() else []
        bytes_each = self.dtype.itemsize * self.dim
        whole = self._rows_file.stat().st_size // bytes_each if self._rows_file.exists() else 0
        self._count = min(len(lines), whole)
        lines = lines[: self._count]
        for file, size in (
            (self._images_file, sum(map(len, lines)) + len(lines)),
            (self._rows_file, self._count * bytes_each),
        ):
            if file.exists():
                os.truncate(file, size)
        for first in range(0, self._count, BATCH):
            part = lines[first : first + BATCH]
            values = self.read(np.arange(first, first + len(part))) if self._checked else [None] * len(part)
            for row, (line, value) in enumerate(zip(part, values, strict=True), start=first):
                self._recall(row, line, value)

    def _recall(self, row: int, line: bytes, value: NDArray[Any] | None) -> None:
        fields = line.decode(errors="replace").split("\t", 3)
        try:
            checksum, image = int(fields[0], 16), Status(fields[3], int(fields[1]), int(fields[2]))
        except (ValueError, IndexError):
            return  # a line that no run wrote
        if value is None or checksum == self._checksum(value):
            self._rows[image] = row


def _images(paths: Sequence[Path]) -> list[Status | None]:
    """Of each image; None for a file that is not there, or whose path no line can hold."""
    return [image if image and _fits(image.name) else None for image in storage.statuses(paths)]


def _fits(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return "\n" not in name


@contextmanager
def opened(
    cache: Path, name: str, key: Mapping[str, str | int], dim: int, kind: type[np.float32] | type[np.uint8] = np.float32
) -> Iterator[Store]:
    """The store that `key` identifies, for this process alone; another run waits until it is free."""
    text = json.dumps(dict(sorted(key.items())))
    folder = (
        cache / ("embeddings" if kind is np.float32 else "crops") / f"{name}-{sha256(text.encode()).hexdigest()[:16]}"
    )
    try:
        storage.write_text(folder / (KEY if kind is np.float32 else "crops.json"), text + "\n")
    except OSError as error:
        raise CentersError(
            f"cannot write {folder}: {error.strerror}; mend it, or type dataset.dir=ELSEWHERE"
        ) from error
    with alone(folder / "lock"):
        yield Store(folder, dim, kind)
