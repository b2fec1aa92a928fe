"""Workers for a pass besides this process: who they are, and what the driver does with their answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagenet_nk.embedding.distributed import tasks
from imagenet_nk.embedding.distributed.results import add, named, placed
from imagenet_nk.embedding.messages import BackboneSpec, Shard, Sums, cut
from imagenet_nk.engine.contract import Engine, Task
from imagenet_nk.engine.cpu_count import cores
from imagenet_nk.preprocessing.types import EmbeddingBatch, SkippedImage
from imagenet_nk.statistics.streaming import Mean, Spread

ON_CPU, ON_GPU = 256, 2048  # images of a shard at most: what a lost worker costs; a GPU idles between two of them


class EngineExecutor:
    """The workers of an engine, each with a shard of the list at a time."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.threads = max(cores() // engine.workers(0), 1) if engine.is_local else 1

    def __str__(self) -> str:
        return f"engine={self.engine.name}"

    def device(self, wanted: str) -> str:
        return wanted if self.engine.is_local else "cpu"

    def decides(self, wanted: str) -> bool:
        return not self.engine.is_local and self._gpus(wanted) > 0

    def embed(
        self, told: Sequence[BackboneSpec], paths: Sequence[Path], rows: Sequence[int]
    ) -> Iterator[EmbeddingBatch]:
        slices, shards = self._cut(told, paths, rows)
        for number, share in self._map(tasks.embed, told, shards):
            yield placed(share, slices[number], paths)

    def sum_up(
        self, told: BackboneSpec, paths: Sequence[Path], classes_N: NDArray[np.int64], mean: Mean, spread: Spread
    ) -> Iterator[tuple[int, list[SkippedImage]]]:
        slices, shards = self._cut([told], paths, range(len(paths)), classes_N)
        waiting: dict[int, Sums] = {}
        following = 0
        for number, sums in self._map(tasks.sum_up, [told], shards):
            waiting[number] = sums
            while (sums_of_next := waiting.pop(following, None)) is not None:  # in the order of the list
                add(sums_of_next, mean, spread)
                rows = slices[following]
                yield len(rows), named(sums_of_next.faults, sums_of_next.host, rows, paths)
                following += 1

    def _cut(
        self,
        told: Sequence[BackboneSpec],
        paths: Sequence[Path],
        rows: Sequence[int],
        classes_N: NDArray[np.int64] | None = None,
    ) -> tuple[list[Sequence[int]], list[Shard]]:
        most = ON_GPU if self._gpus(told[0].backbone.device) else ON_CPU
        slices = cut(rows, self.engine.workers(len(rows)), most)
        threads = self.threads if self.engine.is_local else None
        return slices, [
            Shard(
                tuple(told),
                tuple(paths[row].absolute() for row in part),
                threads,
                None if classes_N is None else classes_N[list(part)],
            )
            for part in slices
        ]

    def _map(self, task: Task, told: Sequence[BackboneSpec], shards: Sequence[Shard]) -> Iterator[tuple[int, Any]]:
        images = sum(len(shard.paths) for shard in shards)
        gpus = self._gpus(told[0].backbone.device)
        return self.engine.map(task, shards, workers=self.engine.workers(images), gpus=gpus)

    def _gpus(self, wanted: str) -> int:
        """GPUs that a worker needs for itself."""
        if self.engine.is_local:
            return 0
        return int(wanted.startswith("cuda") or (wanted == "auto" and self.engine.gpus() > 0))
