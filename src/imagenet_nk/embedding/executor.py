"""The contract of whoever runs models over a list for the driver."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from imagenet_nk.embedding.messages import BackboneSpec
from imagenet_nk.preprocessing.types import EmbeddingBatch


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


def in_order(parts: Iterable[EmbeddingBatch], rows: Sequence[int]) -> Iterator[EmbeddingBatch]:
    """The slices in the order of the rows of which they are made up."""
    waiting: dict[int, EmbeddingBatch] = {}
    place = 0
    for part in parts:
        waiting[min([*part.rows.tolist()[:1], *(fault.row for fault in part.faults)])] = part
        while place < len(rows) and (following := waiting.pop(rows[place], None)) is not None:
            yield following
            place += len(following.rows) + len(following.faults)
