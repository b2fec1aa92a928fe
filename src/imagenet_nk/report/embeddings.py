"""The embeddings of a data set's images, out of the store of the stage centers (centers/store.py). Reads only."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imagenet_nk import storage
from imagenet_nk.centers.store import IMAGES, KEY, ROWS

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
            name = storage.full_name(path)
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
