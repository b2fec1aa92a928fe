"""The embeddings of a data set's images, out of the store of the stage centers (centers/store.py). Reads only."""

from __future__ import annotations

import json
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
    """Embeddings on disk: the row of each image path."""

    rows: Mapping[str, int]
    matrix: np.memmap[tuple[int, int], np.dtype[np.float32]]

    def find(self, paths: Iterable[Path]) -> NDArray[np.int64]:
        """(N,) the row of each image; -1 for one that has no embedding."""
        return np.array([self.rows.get(storage.full_name(path), -1) for path in paths], np.int64)

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
    rows = {line.decode(errors="replace").split("\t", 3)[3]: row for row, line in enumerate(lines[:count])}
    return Kept(rows, np.memmap(folder / ROWS, "<f4", "r", shape=(count, dim)))
