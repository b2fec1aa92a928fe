"""What a worker receives, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imagenet_nk.config.backbones import BackboneConfig


@dataclass(frozen=True)
class BackboneSpec:
    """A backbone as every worker builds it."""

    config: BackboneConfig
    seed: int  # of random weights
    cache_key: Mapping[str, str | int]  # must come out as in the driver


@dataclass(frozen=True)
class Shard:
    """Images for one or several backbones."""

    specs: tuple[BackboneSpec, ...]
    paths: tuple[Path, ...]  # absolute
    threads: int | None  # of the worker; None = as many as it has cores


@dataclass(frozen=True)
class ShardEmbeddings:
    """The embeddings of a shard, those of several backbones side by side."""

    host: str
    rows: NDArray[np.int64]  # (m,) of the shard
    embeddings: NDArray[np.float32]  # (m, sum of D)
    skipped: tuple[tuple[int, str], ...]  # row of the shard and reason


def split_shards(images: int, workers: int, max_size: int) -> list[range]:
    """Rows of each shard: about four shards a worker, so that all end together, none longer than `max_size`."""
    size = max(1, min(max_size, -(-images // (4 * workers))))
    return [range(first, min(first + size, images)) for first in range(0, images, size)]
