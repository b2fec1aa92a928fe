"""The executor that sends shards of images to the workers of an engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from imagenet_nk.config.backbones import BackboneConfig, RuntimeChoice
from imagenet_nk.embedding.distributed import tasks
from imagenet_nk.embedding.distributed.results import to_batch
from imagenet_nk.embedding.messages import BackboneSpec, Shard, split_shards
from imagenet_nk.embedding.plan import EmbeddingPlan, make_plan, resolve_plan
from imagenet_nk.engine.contract import Engine
from imagenet_nk.engine.cpu_count import cores
from imagenet_nk.preprocessing.types import EmbeddingBatch

# Images of a shard at most: they are embedded again if a worker is lost. A GPU idles between two shards.
MAX_SHARD_ON_CPU, MAX_SHARD_ON_GPU = 256, 2048


class EngineExecutor:
    """The workers of an engine, each with one shard of the images at a time."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.threads = max(cores() // engine.workers(0), 1) if engine.is_local else 1

    def plan(self, config: BackboneConfig, seed: int) -> EmbeddingPlan:
        """The driver of a cluster needs no GPU of its own."""
        return make_plan(config, seed, device=None if self.engine.is_local else "cpu", threads=self.threads)

    def resolve(self, plan: EmbeddingPlan, images: Sequence[Path]) -> EmbeddingPlan:
        return plan if self._worker_resolves_runtime(plan.config) else resolve_plan(plan, images)

    def embed(self, plans: Sequence[EmbeddingPlan], images: Sequence[Path]) -> Iterator[EmbeddingBatch]:
        gpus = self._gpus(plans[0].config.device)
        workers = self.engine.workers(len(images))
        parts = split_shards(len(images), workers, MAX_SHARD_ON_GPU if gpus else MAX_SHARD_ON_CPU)
        specs = tuple(worker_spec(plan) for plan in plans)
        threads = self.threads if self.engine.is_local else None
        shards = [Shard(specs, tuple(images[row].absolute() for row in part), threads) for part in parts]
        for number, result in self.engine.map(tasks.embed, shards, workers=workers, gpus=gpus):
            yield to_batch(result, parts[number], images)

    def describe(self, plan: EmbeddingPlan) -> str:  # noqa: ARG002
        return f"engine={self.engine.name}"

    def _worker_resolves_runtime(self, config: BackboneConfig) -> bool:
        """Whether each worker chooses the runtime: it has a GPU, and the driver need not."""
        return self._gpus(config.device) > 0

    def _gpus(self, device: str) -> int:
        """GPUs that each worker of a cluster reserves."""
        if self.engine.is_local:
            return 0
        return int(device.startswith("cuda") or (device == "auto" and self.engine.gpus() > 0))


def worker_spec(plan: EmbeddingPlan) -> BackboneSpec:
    """What workers need to give the embeddings that this process would."""
    config = replace(plan.config, name=plan.backbone.name)  # as it was resolved here
    if config.checkpoint is not None:
        config = replace(config, checkpoint=str(Path(config.checkpoint).expanduser().absolute()))
    if plan.runtime:
        device = "cpu" if plan.is_on_cpu else config.device
        config = replace(config, runtime=RuntimeChoice(plan.runtime.name), device=device)
    return BackboneSpec(config, plan.seed, plan.cache_key)
