"""The throughput of a runtime and the batch size, measured on this machine."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from imagenet_nk.backbones.devices import single_threaded
from imagenet_nk.backbones.model import Backbone
from imagenet_nk.config.backbones import Dtype
from imagenet_nk.preprocessing.transforms import RGBArray
from imagenet_nk.preprocessing.types import Forward

log = logging.getLogger(__name__)

TRIAL_IMAGES = 4  # images of one forward pass when runtimes are compared
MAX_TRIAL_SECONDS = 0.5  # rounds of one runtime end after this time

MAX_CPU_BATCH = 16  # larger batches do not fit into the caches
TARGET_SECONDS = 0.5  # of one batch on one core: at the end of the list a thread waits so long for the last batch
GPU_BATCHES = (32, 64, 128, 256, 512)
MIN_SPEEDUP = 1.05  # a doubling of the batch that gains less is the last


def warn_if_slow_dtype(dtype: Dtype, device: torch.device) -> None:
    """Log a warning for float16 on a CPU, which PyTorch mostly computes in software."""
    if device.type == "cpu" and dtype == Dtype.float16:
        log.warning(
            "backbone.dtype=float16: most CPUs have no float16 arithmetic, and PyTorch is then much slower than in "
            "float32; type backbone.dtype=float32 or backbone.dtype=bfloat16"
        )


def throughput(forward: Forward, trial: RGBArray, threads: int) -> float:
    """Images/s when `threads` threads call `forward`; the best of up to three rounds after one to warm up.

    Counted in CPU time, which other programs on the machine affect less than elapsed time.
    """
    callers = max(threads, 1)
    best, measured_seconds = 0.0, 0.0
    with single_threaded(threads > 0), ThreadPoolExecutor(callers) as pool:
        for is_measured in (False, True, True, True):
            started = time.process_time()
            list(pool.map(forward, [trial] * callers))
            seconds = max(time.process_time() - started, 1e-9) / callers
            if is_measured:
                best = max(best, callers * len(trial) / seconds)
                measured_seconds += seconds
            if measured_seconds > MAX_TRIAL_SECONDS:
                break
    return best


def cpu_batch_size(backbone: Backbone, forward: Forward) -> int:
    """A power of two up to MAX_CPU_BATCH whose forward pass takes one core about TARGET_SECONDS."""
    with single_threaded():
        _forward_seconds(backbone, forward, 1)
        seconds = _forward_seconds(backbone, forward, 1)
    batch = 1
    while batch < MAX_CPU_BATCH and 2 * batch * seconds <= TARGET_SECONDS:
        batch *= 2
    return batch


def gpu_batch_size(backbone: Backbone, forward: Forward) -> int:
    """The batch size from which on doubling gains less than MIN_SPEEDUP; `forward` halves a batch that does not fit."""
    best, best_rate = GPU_BATCHES[0], 0.0
    for batch in GPU_BATCHES:
        _forward_seconds(backbone, forward, batch)
        rate = batch / _forward_seconds(backbone, forward, batch)
        if rate < MIN_SPEEDUP * best_rate:
            break
        best, best_rate = batch, rate
    log.info("%s: batches of %d images, %.0f images/s", backbone.name, best, best_rate)
    return best


def _forward_seconds(backbone: Backbone, forward: Forward, batch: int) -> float:
    crops = np.zeros((batch, *backbone.input_size, 3), dtype=np.uint8)
    started = time.perf_counter()
    forward(crops)
    return time.perf_counter() - started
