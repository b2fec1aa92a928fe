"""The settings of embedding, and the backbones of a run that are built from them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path

from imagenet_nk.config.backbones import BackboneConfig, CentersConfig
from imagenet_nk.embedding.executor import Executor, LocalExecutor
from imagenet_nk.embedding.plan import EmbeddingPlan

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EmbeddingConfig:
    """How the images of a run are embedded."""

    backbone: BackboneConfig
    centers: CentersConfig = field(default_factory=CentersConfig)
    cache: Path | None = None  # folder of the embeddings that outlive the run; None = the output folder
    seed: int = 0  # of random weights, confidence intervals and random splits
    executor: Executor = field(default_factory=LocalExecutor)


@dataclass(frozen=True)
class BackboneRun:
    """One backbone of a run, built, with the folder for its results."""

    config: EmbeddingConfig
    output: Path
    plan: EmbeddingPlan  # not resolved: that needs the images

    @property
    def cache_folder(self) -> Path:
        return self.config.cache or self.output


def make_runs(config: EmbeddingConfig, output: Path) -> list[BackboneRun]:
    """A run for each of `backbone.models`, in a folder of its own; or one for `backbone.name`, in `output`.

    Raises BackboneError.
    """
    names = config.backbone.models
    backbones = [replace(config.backbone, name=name, models=[]) for name in names] or [config.backbone]
    configs = [replace(config, backbone=backbone) for backbone in backbones]
    outputs = [output / name for name in names] or [output]
    return [BackboneRun(each, to, _plan(each)) for each, to in zip(configs, outputs, strict=True)]


def _plan(config: EmbeddingConfig) -> EmbeddingPlan:
    plan = config.executor.plan(config.backbone, config.seed)
    if plan.backbone.weights.startswith("random:"):
        log.warning(
            "backbone %s: random weights (%s): results are meaningless, for trying the program only",
            *(plan.backbone.name, plan.backbone.weights),
        )
    return plan
