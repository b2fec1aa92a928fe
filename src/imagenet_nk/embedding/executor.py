"""Executor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from imagenet_nk.embedding.messages import BackboneSpec
from imagenet_nk.preprocessing.types import EmbeddingBatch, SkippedImage
from imagenet_nk.statistics.streaming import Mean, Spread


class Executor(Protocol):
    """Workers. The driver decides how a model is run if they have such a device as it has itself."""

    threads: int  # of each on a CPU

    def device(self, wanted: str) -> str:
        """The driver's own device for a backbone.device."""

    def decides(self, wanted: str) -> bool:
        """Whether each worker finds out by itself what runs a model best: its device is of another kind than here."""

    def embed(
        self, told: Sequence[BackboneSpec], paths: Sequence[Path], rows: Sequence[int]
    ) -> Iterator[EmbeddingBatch]:
        """The embeddings of some rows of the list, several backbones side by side, slice by slice as they come in."""

    def sum_up(
        self, told: BackboneSpec, paths: Sequence[Path], classes_N: NDArray[np.int64], mean: Mean, spread: Spread
    ) -> Iterator[tuple[int, list[SkippedImage]]]:
        """Add all images of the list to the sums; yields how many more are done, and those that could not be."""


def in_order(parts: Iterable[EmbeddingBatch], rows: Sequence[int]) -> Iterator[EmbeddingBatch]:
    """The slices in the order of the rows of which they are made up."""
    waiting: dict[int, EmbeddingBatch] = {}
    place = 0
    for part in parts:
        waiting[min([*part.rows.tolist()[:1], *(fault.row for fault in part.faults)])] = part
        while place < len(rows) and (following := waiting.pop(rows[place], None)) is not None:
            yield following
            place += len(following.rows) + len(following.faults)
