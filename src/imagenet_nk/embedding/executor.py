"""Executors run models over images: here in this process; over the workers of an engine in `distributed`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from imagenet_nk.config.backbones import BackboneConfig
from imagenet_nk.embedding import loader
from imagenet_nk.embedding.plan import EmbeddingPlan, make_plan, resolve_plan
from imagenet_nk.errors import BackboneError
from imagenet_nk.preprocessing.factory import open_loader
from imagenet_nk.preprocessing.transforms import RGBArray
from imagenet_nk.preprocessing.types import EmbeddingBatch, Floats, Forward


class Executor(Protocol):
    """Runs models over images. Every executor gives the same embeddings; tests/embedding/executor_conformance.py."""

    def plan(self, config: BackboneConfig, seed: int) -> EmbeddingPlan:
        """The plan of a backbone for this executor, not resolved. Raises BackboneError."""

    def resolve(self, plan: EmbeddingPlan, images: Sequence[Path]) -> EmbeddingPlan:
        """The plan by which `embed` will embed these images; its `cache_key` may be another."""

    def embed(self, plans: Sequence[EmbeddingPlan], images: Sequence[Path]) -> Iterator[EmbeddingBatch]:
        """(n, sum of D) embeddings of resolved plans side by side, in batches whose order is not fixed.

        The plans must have the same preprocessor and devices. Rows are places in `images`; each image is in exactly
        one batch, with an embedding or as skipped. Raises BackboneError or CentersError.
        """

    def describe(self, plan: EmbeddingPlan) -> str:
        """What ran the model, for the log."""


class LocalExecutor:
    """The threads of this process."""

    def plan(self, config: BackboneConfig, seed: int) -> EmbeddingPlan:
        return make_plan(config, seed)

    def resolve(self, plan: EmbeddingPlan, images: Sequence[Path]) -> EmbeddingPlan:
        return resolve_plan(plan, images)

    def embed(self, plans: Sequence[EmbeddingPlan], images: Sequence[Path]) -> Iterator[EmbeddingBatch]:
        first = plans[0]
        with open_loader(first.preprocessor, images) as (preprocess, collate):
            yield from loader.embed_batches(
                images, preprocess, concat_forward(plans), collate=collate, **first.concurrency
            )

    def describe(self, plan: EmbeddingPlan) -> str:
        devices = ", ".join(map(str, plan.devices))
        return f"{plan.runtime.name if plan.runtime else 'no runtime'}, {plan.threads} threads, {devices}"


def concat_forward(plans: Sequence[EmbeddingPlan]) -> Forward:
    """(B, sum of D): the embeddings of all models side by side. Raises BackboneError for an unresolved plan."""
    forwards = [plan.runtime.forward for plan in plans if plan.runtime]
    if len(forwards) < len(plans):
        raise BackboneError("the plan has no runtime: resolve it first")

    def forward(crops_BHW3: RGBArray) -> Floats:
        return np.concatenate([one(crops_BHW3) for one in forwards], axis=1)

    return forward
