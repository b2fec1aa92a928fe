"""Ways to run a model on a batch of crops, and the choice between them."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from queue import Queue

import numpy as np
import torch
from torch import Tensor, nn

from imagenet_nk.backbones.autotune import MAX_CPU_BATCH, TRIAL_IMAGES, throughput
from imagenet_nk.backbones.batching import halve_on_oom, pad_batches
from imagenet_nk.backbones.devices import full_float32
from imagenet_nk.backbones.model import Backbone
from imagenet_nk.config.backbones import BackboneConfig, Dtype, RuntimeChoice
from imagenet_nk.errors import BackboneError
from imagenet_nk.preprocessing.gpu import own_stream
from imagenet_nk.preprocessing.transforms import RGBArray, normaliser
from imagenet_nk.preprocessing.types import Floats, Forward
from imagenet_nk.wording import one_line

log = logging.getLogger(__name__)

FIXED_BATCH = ("openvino",)  # compiled for one batch size


@dataclass(frozen=True)
class Runtime:
    """What runs the model in this pass."""

    name: str
    forward: Forward
    rates: Mapping[str, float] = field(default_factory=dict)  # images/s of each runtime, if they were measured


def select_runtime(
    backbone: Backbone, devices: Sequence[torch.device], config: BackboneConfig, *, calibrate: bool, threads: int
) -> Runtime:
    """The runtime that the configuration names; with `auto` the fastest one here if `calibrate`, else a safe choice.

    `threads` threads will call it. Raises BackboneError for a runtime that is not installed.
    """
    device, batch = devices[0], config.batch_size or MAX_CPU_BATCH
    builders: dict[str, Callable[[], Forward]] = {
        "eager": lambda: replicate(backbone, devices, config.dtype, torch.contiguous_format),
        "channels_last": lambda: replicate(backbone, devices, config.dtype, torch.channels_last),
        "openvino": lambda: openvino(backbone, config.dtype, batch, threads),
    }
    has_openvino = find_spec("openvino") is not None
    if config.runtime != RuntimeChoice.auto:
        if config.runtime == RuntimeChoice.openvino and not has_openvino:
            raise BackboneError("backbone.runtime=openvino needs OpenVINO: pip install 'imagenet-nk[openvino]'")
        return Runtime(str(config.runtime), builders[config.runtime]())
    if device.type != "cpu" or not calibrate:
        name = "eager" if device.type == "cpu" else "channels_last"
        return Runtime(name, builders[name]())
    if not has_openvino:
        del builders["openvino"]
    return _autotune(backbone, builders, batch, threads)


def _autotune(backbone: Backbone, builders: Mapping[str, Callable[[], Forward]], batch: int, threads: int) -> Runtime:
    """The runtime with the highest throughput over `threads` threads, without those that fail on this model."""
    rates: dict[str, float] = {}
    forwards: dict[str, Forward] = {}
    for name, build in builders.items():
        images = batch if name in FIXED_BATCH else min(batch, TRIAL_IMAGES)
        trial = np.random.default_rng(0).integers(0, 256, (images, *backbone.input_size, 3), dtype=np.uint8)
        try:
            forward = build()
            rates[name] = throughput(forward, trial, threads)
        except (RuntimeError, BackboneError) as error:
            log.info("%s does not run on %s: %s", backbone.name, name, one_line(error)[:160])
            continue
        forwards[name] = forward
    best = max(rates, key=rates.__getitem__)
    measured = ", ".join(f"{name} {rate:.1f}" for name, rate in rates.items())
    log.info("%s runs on %s (%s images/s)", backbone.name, best, measured)
    # Each eager layout is built again: the trials share one model, whose memory layout the last of them has changed.
    return Runtime(best, forwards[best] if best in FIXED_BATCH else builders[best](), rates)


def eager(
    backbone: Backbone,
    device: torch.device,
    dtype: Dtype = Dtype.float32,
    layout: torch.memory_format = torch.contiguous_format,
) -> Forward:
    """PyTorch's eager mode. Halves the batch when memory runs out, down to one image."""
    model = backbone.model.to(device).to(memory_format=layout)
    normalise = normaliser(backbone.data)
    autocast_dtype, uses_autocast = getattr(torch, dtype), dtype != Dtype.float32

    def forward(crops_BHW3: RGBArray | Tensor) -> Floats:
        pixels = crops_BHW3 if isinstance(crops_BHW3, Tensor) else torch.from_numpy(crops_BHW3)
        if device.type == "cuda" and not pixels.is_cuda:
            pixels = pixels.pin_memory()
        with (
            own_stream(device),
            full_float32(),
            torch.inference_mode(),
            torch.autocast(device.type, autocast_dtype, enabled=uses_autocast),
        ):
            images = normalise(pixels.to(device, non_blocking=True).permute(0, 3, 1, 2))
            embeddings_BD: Tensor = model(images.contiguous(memory_format=layout))
            return embeddings_BD.float().cpu().numpy()

    return halve_on_oom(forward)


def replicate(
    backbone: Backbone, devices: Sequence[torch.device], dtype: Dtype, layout: torch.memory_format
) -> Forward:
    """One replica of the model on each device; a call takes one that is free."""
    if len(devices) == 1:
        return eager(backbone, devices[0], dtype, layout)
    idle: Queue[Forward] = Queue()
    for device in devices:
        replica = replace(backbone, model=copy.deepcopy(backbone.model))
        for _ in range(2):  # two threads call each device, so that it never waits for one
            idle.put(eager(replica, device, dtype, layout))

    def forward(crops_BHW3: RGBArray | Tensor) -> Floats:
        replica_forward = idle.get()
        try:
            return replica_forward(crops_BHW3)
        finally:
            idle.put(replica_forward)

    return forward


def openvino(backbone: Backbone, dtype: Dtype, batch: int, threads: int) -> Forward:
    """OpenVINO on the CPU, one stream for each thread. Raises BackboneError for a model that it cannot convert."""
    from imagenet_nk.backbones import openvino as openvino_runtime  # an extra

    model = nn.Sequential(_Normalise(backbone), backbone.model)
    return pad_batches(openvino_runtime.forward(model, backbone, dtype, batch, threads), batch)


class _Normalise(nn.Module):
    """(B, H, W, 3) uint8 to (B, 3, H, W) float32, as part of a graph."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.normalise = normaliser(backbone.data)

    def forward(self, crops_BHW3: Tensor) -> Tensor:
        return self.normalise(crops_BHW3.permute(0, 3, 1, 2))
