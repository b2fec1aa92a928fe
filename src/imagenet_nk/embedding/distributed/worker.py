"""A worker's part of embedding: it builds the driver's models and runs them over shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from imagenet_nk.embedding.distributed.results import join_batches
from imagenet_nk.embedding.executor import LocalExecutor
from imagenet_nk.embedding.messages import BackboneSpec, ShardEmbeddings
from imagenet_nk.embedding.plan import EmbeddingPlan, make_plan, resolve_plan
from imagenet_nk.errors import BackboneError

MIN_THREADS_FOR_GPU = 8  # decoding threads for a GPU where the settings give no number


class Worker:
    """Backbones that share their preprocessing, ready to run."""

    def __init__(self, specs: Sequence[BackboneSpec], paths: Sequence[Path], threads: int | None = None) -> None:
        """`paths`: images for the parity check. Raises BackboneError if the backbones are not those of the driver."""
        self.plans = [_make_plan(spec, paths, threads) for spec in specs]

    def embed(self, paths: Sequence[Path]) -> ShardEmbeddings:
        """The embeddings of a shard."""
        return join_batches(list(LocalExecutor().embed(self.plans, paths)))


def _make_plan(spec: BackboneSpec, paths: Sequence[Path], threads: int | None) -> EmbeddingPlan:
    config = spec.config
    plan = make_plan(config, spec.seed, threads=threads)
    if config.threads is None and threads is None and not plan.is_on_cpu:
        plan = replace(plan, threads=max(MIN_THREADS_FOR_GPU, plan.threads))
    if plan.backbone.sha256 != spec.cache_key["weights_sha256"]:
        raise BackboneError(
            f"the weights of {config.name} here ({plan.backbone.weights}) are not those of the driver; give all nodes "
            "the same file (backbone.checkpoint) and the same versions of timm and torch"
        )
    plan = resolve_plan(plan, paths)
    if plan.cache_key != spec.cache_key:
        raise BackboneError(
            f"{config.name} gives other embeddings here than in the driver: type backbone.runtime=eager "
            "backbone.dtype=float32 backbone.preprocess=timm, and give all nodes the same versions of timm and torch"
        )
    return plan
