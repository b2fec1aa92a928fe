"""Ways to run a model on a batch of crops, and the choice between them."""

from __future__ import annotations

import copy
import ctypes
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from queue import Queue
from threading import Lock

import numpy as np
import torch
from torch import Tensor, nn

from imagenet_nk.backbones.autotune import MAX_CPU_BATCH, TRIAL_IMAGES, throughput
from imagenet_nk.backbones.model import Backbone
from imagenet_nk.config import BackboneConfig, Dtype, RuntimeChoice
from imagenet_nk.errors import BackboneError, CentersError
from imagenet_nk.preprocessing.gpu import own_stream
from imagenet_nk.preprocessing.transforms import RGBArray, normaliser
from imagenet_nk.preprocessing.types import Floats, Forward
from imagenet_nk.wording import one_line

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3)
_LARGEST_MMAP_THRESHOLD = 32 * 2**20  # more is refused on 64-bit systems


def keep_big_buffers() -> bool:
    """Serve blocks up to 32 MiB from the heap and give none of it back; whether this C library takes it.

    Otherwise every layer's output is mapped afresh, and the kernel clears its pages one fault at a time.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl has none
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD) and mallopt(_TRIM_THRESHOLD, 2**31 - 1))


log = logging.getLogger(__name__)

FIXED_BATCH = ("openvino",)  # built for one batch size, short batches are filled up


@dataclass(frozen=True)
class Runtime:
    """What runs the model in this pass."""

    name: str
    forward: Forward
    rates: Mapping[str, float] = field(default_factory=dict)  # images/s, where it was measured


def select_runtime(
    backbone: Backbone, devices: Sequence[torch.device], config: BackboneConfig, *, calibrate: bool, threads: int
) -> Runtime:
    """The runtime that the configuration names, or with `auto` the quickest here that gives the same embeddings.

    `lanes` threads will call it. Raises BackboneError for one that is not installed.
    """
    device, batch = devices[0], config.batch_size or MAX_CPU_BATCH
    if device.type == "cpu":
        keep_big_buffers()
    torch.backends.cudnn.allow_tf32 = False  # float32 is float32; PyTorch would round convolutions to ten bits on a GPU
    builders: dict[str, Callable[[], Forward]] = {
        "eager": lambda: replicate(backbone, devices, config.dtype, torch.contiguous_format),
        "channels_last": lambda: replicate(backbone, devices, config.dtype, torch.channels_last),
        "openvino": lambda: openvino(backbone, config.dtype, batch, threads),
    }
    if config.runtime != RuntimeChoice.auto:
        if config.runtime == RuntimeChoice.openvino and find_spec("openvino") is None:
            raise BackboneError("backbone.runtime=openvino is not installed: pip install 'imagenet-nk[openvino]'")
        return Runtime(str(config.runtime), builders[config.runtime]())
    if device.type != "cpu" or not calibrate:
        name = "eager" if device.type == "cpu" else "channels_last"
        return Runtime(name, builders[name]())
    names = ["eager", "channels_last"] + ["openvino"] * (find_spec("openvino") is not None)
    return _autotune(backbone, {name: builders[name] for name in names}, batch, threads)


def _autotune(backbone: Backbone, builders: Mapping[str, Callable[[], Forward]], batch: int, threads: int) -> Runtime:
    """Time each as the pass will call it; one that fails on this model is left out, for eager always works."""
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
    log.info("%s runs on %s (%s images/s)", backbone.name, best, ", ".join(f"{n} {r:.1f}" for n, r in rates.items()))
    return Runtime(
        best, forwards[best] if best in FIXED_BATCH else builders[best](), rates
    )  # the layout was changed since


def eager(
    backbone: Backbone,
    device: torch.device,
    dtype: Dtype = Dtype.float32,
    layout: torch.memory_format = torch.contiguous_format,
) -> Forward:
    """PyTorch as it is. Halves the batch, down to one image, when memory runs out."""
    model = backbone.model.to(device).to(memory_format=layout)
    return _forward(model, backbone, device, dtype, layout)


def replicate(
    backbone: Backbone, devices: Sequence[torch.device], dtype: Dtype, layout: torch.memory_format
) -> Forward:
    """One replica of the model a device; a call takes one that is free."""
    if len(devices) == 1:
        return eager(backbone, devices[0], dtype, layout)
    free: Queue[Forward] = Queue()
    for device in devices:
        replica = replace(backbone, model=copy.deepcopy(backbone.model))
        for _ in range(2):  # as many as threads call it, see Embedder.width
            free.put(eager(replica, device, dtype, layout))

    def forward(crops_BHW3: RGBArray) -> Floats:
        chosen = free.get()
        try:
            return chosen(crops_BHW3)
        finally:
            free.put(chosen)

    return forward


def openvino(backbone: Backbone, dtype: Dtype, batch: int, threads: int) -> Forward:
    """OpenVINO on the CPU, one stream a lane. Raises BackboneError for a model that it cannot convert."""
    from imagenet_nk.backbones import openvino as openvino_runtime  # an extra

    model = nn.Sequential(_Normalised(backbone), backbone.model)
    return _pad_batches(openvino_runtime.forward(model, backbone, dtype, batch, threads), batch)


class _Normalised(nn.Module):
    """(B, H, W, 3) uint8 to (B, 3, H, W) float32, as part of a graph."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.normalise = normaliser(backbone.data)

    def forward(self, crops_BHW3: Tensor) -> Tensor:
        return self.normalise(crops_BHW3.permute(0, 3, 1, 2))


def _forward(
    model: Callable[[Tensor], Tensor],
    backbone: Backbone,
    device: torch.device,
    dtype: Dtype,
    layout: torch.memory_format,
) -> Forward:
    normalise = normaliser(backbone.data)
    low = dtype != Dtype.float32
    kind = getattr(torch, dtype)

    def once(crops_BHW3: RGBArray | Tensor) -> Floats:
        pixels = crops_BHW3 if isinstance(crops_BHW3, Tensor) else torch.from_numpy(crops_BHW3)
        if device.type == "cuda" and not pixels.is_cuda:
            pixels = pixels.pin_memory()
        with own_stream(device), torch.inference_mode(), torch.autocast(device.type, kind, enabled=low):
            images = normalise(pixels.to(device, non_blocking=True).permute(0, 3, 1, 2)).contiguous(
                memory_format=layout
            )
            return model(images).float().cpu().numpy()

    return _halve_on_oom(once)


def _halve_on_oom(forward: Forward) -> Forward:
    """Halves a batch that does not fit into memory. Raises CentersError when one image does not."""

    def retreat(crops: RGBArray | Tensor) -> Floats:
        try:
            return forward(crops)
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            if len(crops) == 1:
                raise CentersError(
                    "one image is more than the memory holds; a smaller backbone, or backbone.device=cpu"
                ) from error
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        half = len(crops) // 2
        log.warning("out of memory with %d images at once; trying %d", len(crops), half)
        return np.concatenate([retreat(crops[:half]), retreat(crops[half:])])

    return retreat


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error)
    return (
        isinstance(error, MemoryError | torch.OutOfMemoryError) or "out of memory" in text or "allocate memory" in text
    )


def _pad_batches(forward: Forward, batch: int) -> Forward:
    """Fill short batches up to one size, for runtimes built for a shape; one call at a time while it builds."""
    first, built = Lock(), [False]

    def fill(crops: RGBArray | Tensor) -> Floats:
        parts = []
        for start in range(0, len(crops), batch):
            part = crops[start : start + batch]
            whole = _pad(part, batch) if len(part) < batch else part
            if built[0]:
                parts.append(forward(whole)[: len(part)])
            else:
                with first:
                    parts.append(forward(whole)[: len(part)])
                    built[0] = True
        return np.concatenate(parts)

    return fill


def _pad(part: RGBArray | Tensor, batch: int) -> RGBArray | Tensor:
    shape = (batch - len(part), *part.shape[1:])
    if isinstance(part, Tensor):
        return torch.cat([part, part.new_zeros(shape)])
    return np.concatenate([part, np.zeros(shape, part.dtype)])
