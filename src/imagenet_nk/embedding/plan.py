"""How a backbone embeds images: model, preprocessing, device, runtime and batch size, decided once."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from imagenet_nk.backbones import autotune, devices, runtimes
from imagenet_nk.backbones.autotune import warn_if_slow_dtype
from imagenet_nk.backbones.model import Backbone, build
from imagenet_nk.backbones.runtimes import Runtime
from imagenet_nk.config.backbones import BackboneConfig, Dtype, RuntimeChoice
from imagenet_nk.embedding import parity
from imagenet_nk.engine.cpu_count import cores
from imagenet_nk.preprocessing.factory import make_preprocessor
from imagenet_nk.preprocessing.transforms import Preprocessor, TimmPreprocessor

log = logging.getLogger(__name__)

MIN_IMAGES_TO_AUTOTUNE = 256  # with fewer images, timing the runtimes costs more than it gains


@dataclass(frozen=True)
class EmbeddingPlan:
    """How one backbone embeds images. `make_plan` makes it; `resolve_plan` adds what has to be measured."""

    backbone: Backbone
    config: BackboneConfig  # dtype and batch_size as they are used
    seed: int  # of random weights
    devices: tuple[torch.device, ...]
    preprocessor: Preprocessor
    threads: int
    runtime: Runtime | None = None  # None: not resolved, or resolved by each worker for itself
    parity: Mapping[str, float] | None = None  # agreement with the reference; None if the plan is the reference

    @property
    def cache_key(self) -> dict[str, str | int]:
        """What an embedding depends on, apart from the image."""
        return {
            "weights_sha256": self.backbone.sha256,
            "model": self.backbone.cache_key,
            "pixels": self.preprocessor.cache_key,
            "dtype": str(self.config.dtype),
            "dim": self.backbone.dim,
        }

    @property
    def is_on_cpu(self) -> bool:
        return self.devices[0].type == "cpu"

    @property
    def concurrency(self) -> dict[str, int]:
        """Arguments of `embed_batches`. A GPU gets two threads that run the model, so that it never waits for one."""
        runners = 0 if self.is_on_cpu else 2 * len(self.devices)
        return {"batch_size": self.config.batch_size or 1, "threads": self.threads, "runners": runners}


def make_plan(
    config: BackboneConfig, seed: int = 0, *, device: str | None = None, threads: int | None = None
) -> EmbeddingPlan:
    """Build the backbone and its preprocessing. Raises BackboneError for a model, device or transform of no use.

    device, threads: used instead of `backbone.device`, and where `backbone.threads` is not set.
    """
    backbone = build(config, seed)
    resolved_devices = devices.resolve_devices(device or config.device)
    preprocessor = make_preprocessor(backbone.data, config.preprocess, resolved_devices)
    workers = config.threads if config.threads is not None else threads or cores()
    return EmbeddingPlan(backbone, config, seed, resolved_devices, preprocessor, workers)


def resolve_plan(plan: EmbeddingPlan, images: Sequence[Path]) -> EmbeddingPlan:
    """Choose batch size and runtime for these images, and compare the result with the reference.

    A plan whose embeddings are too far from the reference becomes the reference, which has another `cache_key`.
    """
    if plan.runtime is not None:
        return plan
    config = plan.config
    if config.runtime != RuntimeChoice.openvino:  # OpenVINO chooses the type by itself
        warn_if_slow_dtype(config.dtype, plan.devices[0])
    if config.batch_size is None:
        config = replace(config, batch_size=_autotune_batch_size(plan))
    calibrate = len(images) >= MIN_IMAGES_TO_AUTOTUNE
    runtime = runtimes.select_runtime(plan.backbone, plan.devices, config, calibrate=calibrate, threads=plan.threads)
    return _check_parity(replace(plan, config=config, runtime=runtime), runtime, images)


def _autotune_batch_size(plan: EmbeddingPlan) -> int:
    is_torch = plan.config.runtime != RuntimeChoice.openvino  # OpenVINO may support types that PyTorch emulates
    forward = runtimes.eager(plan.backbone, plan.devices[0], plan.config.dtype if is_torch else Dtype.float32)
    return (autotune.cpu_batch_size if plan.is_on_cpu else autotune.gpu_batch_size)(plan.backbone, forward)


def _check_parity(plan: EmbeddingPlan, runtime: Runtime, images: Sequence[Path]) -> EmbeddingPlan:
    """The plan with its agreement with the reference, or the reference if the two do not agree."""
    is_plain = isinstance(plan.preprocessor, TimmPreprocessor) and runtime.name in ("eager", "channels_last")
    if is_plain and plan.config.dtype == Dtype.float32:
        return plan
    own_copy = replace(plan.backbone, model=copy.deepcopy(plan.backbone.model))  # its memory layout may differ
    reference = runtimes.eager(own_copy, plan.devices[0]), TimmPreprocessor(plan.backbone.data)
    agreement = parity.compare_embeddings(images, (runtime.forward, plan.preprocessor), reference)
    plan = replace(plan, parity=agreement)
    if agreement is None or agreement["cosine_min"] >= parity.MIN_COSINE:
        return plan
    log.warning(
        "%s: %s, %s, preprocess=%s: cosine %.5f with the reference, below %s; using the reference instead",
        *(plan.backbone.name, runtime.name, plan.config.dtype, plan.config.preprocess),
        *(agreement["cosine_min"], parity.MIN_COSINE),
    )
    config = replace(plan.config, dtype=Dtype.float32)
    return replace(plan, config=config, runtime=Runtime("eager", reference[0]), preprocessor=reference[1])
