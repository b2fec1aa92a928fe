"""Workers for a pass besides this process: who they are, and what the driver does with their answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from imagenet_nk.embedding.distributed import tasks
from imagenet_nk.embedding.distributed.results import placed
from imagenet_nk.embedding.messages import BackboneSpec, Shard, cut
from imagenet_nk.engine.contract import Engine, Task
from imagenet_nk.engine.cpu_count import cores
from imagenet_nk.preprocessing.types import EmbeddingBatch

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

    def _cut(
        self,
        told: Sequence[BackboneSpec],
        paths: Sequence[Path],
        rows: Sequence[int],
    ) -> tuple[list[Sequence[int]], list[Shard]]:
        most = ON_GPU if self._gpus(told[0].backbone.device) else ON_CPU
        slices = cut(rows, self.engine.workers(len(rows)), most)
        threads = self.threads if self.engine.is_local else None
        return slices, [Shard(tuple(told), tuple(paths[row].absolute() for row in part), threads) for part in slices]

    def _map(self, task: Task, told: Sequence[BackboneSpec], shards: Sequence[Shard]) -> Iterator[tuple[int, Any]]:
        images = sum(len(shard.paths) for shard in shards)
        gpus = self._gpus(told[0].backbone.device)
        return self.engine.map(task, shards, workers=self.engine.workers(images), gpus=gpus)

    def _gpus(self, wanted: str) -> int:
        """GPUs that a worker needs for itself."""
        if self.engine.is_local:
            return 0
        return int(wanted.startswith("cuda") or (wanted == "auto" and self.engine.gpus() > 0))
