"""What a worker is given, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imagenet_nk.config import BackboneConfig, CentersConfig


@dataclass(frozen=True)
class BackboneSpec:
    """One backbone, as all workers are to build it."""

    backbone: BackboneConfig
    centers: CentersConfig
    seed: int  # of random weights
    key: Mapping[str, str | int]  # what an embedding depends on beside the image: must come out as in the driver


@dataclass(frozen=True)
class Shard:
    """A slice of the list, for one or several backbones."""

    orders: tuple[BackboneSpec, ...]
    paths: tuple[Path, ...]  # absolute
    threads: int | None  # of the worker; None = as many as it has cores


@dataclass(frozen=True)
class ShardEmbeddings:
    """The embeddings of a shard, those of several backbones side by side."""

    host: str
    rows: NDArray[np.int64]  # (m,) of the shard
    embeddings: NDArray[np.float32]  # (m, sum of D)
    faults: tuple[tuple[int, str], ...]  # row of the shard and reason


def cut(rows: Sequence[int], workers: int, most: int) -> list[Sequence[int]]:
    """Slices for so many workers: enough of them that all end together, none longer than `most`."""
    size = max(1, min(most, -(-len(rows) // (4 * workers))))
    return [rows[first : first + size] for first in range(0, len(rows), size)]
