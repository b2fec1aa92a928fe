"""What earlier runs left in a cache of embeddings, for reading alone: no lock, and images may have been moved."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imagenet_nk.preprocessing.row_cache import BATCH_SIZE, IMAGES, KEY, ROWS, MappedRows, checked_image
from imagenet_nk.storage import files


@dataclass(frozen=True)
class CachedEmbeddings:
    """Embeddings on disk."""

    rows: Mapping[str, int]  # by absolute path or URL
    moved_rows: Mapping[tuple[str, int], int]  # by the end of the path, as images/<wnid>/<file>, and size in bytes
    values: MappedRows

    @property
    def dim(self) -> int:
        return self.values.dim

    def find(self, images: Iterable[tuple[Path, int]]) -> NDArray[np.int64]:
        """(N,) the row of each image, given with its size in bytes; -1 for one that has no embedding.

        Finds the images of a data set that was moved or copied, although the cache holds full paths.
        """
        result = []
        for path, size in images:
            name = files.full_name(path)
            row = self.rows.get(name)
            result.append(self.moved_rows.get((_path_end(name), size), -1) if row is None else row)
        return np.array(result, np.int64)

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, D) float32."""
        return self.values.read(rows)


def find_cached(folders: Sequence[Path], metadata: Mapping[str, str]) -> CachedEmbeddings | None:
    """The embeddings that the centers with this metadata were made of; None if they were not kept."""
    wanted = json.loads(metadata.get("embeddings_key", "{}"))
    for model in (model for folder in folders for model in sorted(folder.glob(f"embeddings/*/{KEY}"))):
        try:
            key = json.loads(model.read_text(encoding="utf-8"))
            dim = key["dim"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):  # damaged
            continue
        if wanted and key == wanted and (cached := _read(model.parent, dim)):
            return cached
    return None


def _read(folder: Path, dim: int) -> CachedEmbeddings | None:
    """The rows whose checksum is right; an incomplete last line or row does not count."""
    try:
        lines = (folder / IMAGES).read_bytes().split(b"\n")[:-1]
        count = min(len(lines), (folder / ROWS).stat().st_size // (4 * dim))
        if not count:
            return None
        with FileIO(folder / ROWS) as file:
            values = MappedRows(file, count, dim)
    except OSError:
        return None
    rows, moved_rows = dict[str, int](), dict[tuple[str, int], int]()
    for first in range(0, count, BATCH_SIZE):
        part = np.arange(first, min(first + BATCH_SIZE, count))
        for row, embedding in zip(part.tolist(), values.read(part), strict=True):
            if image := checked_image(lines[row], embedding):
                rows[image.name] = moved_rows[_path_end(image.name), image.size] = row
    return CachedEmbeddings(rows, moved_rows, values)


def _path_end(name: str) -> str:
    """The part of a path that stays the same when its data set moves."""
    return "/".join(name.replace(os.sep, "/").split("/")[-3:])
