"""How many images go through the model at once, where the user does not say."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from imagenet_nk.backbones.devices import single_threaded
from imagenet_nk.backbones.model import Backbone
from imagenet_nk.config import Dtype
from imagenet_nk.preprocessing.transforms import RGBArray
from imagenet_nk.preprocessing.types import Forward

log = logging.getLogger(__name__)

MATRIX_SIZE = 256  # rows and columns of the matrices that are multiplied to see how quick a type is: 10 ms at the worst


SLOW_RATIO = 2.0  # times the seconds of float32 from which on a type has no arithmetic of its own


def warn_if_slow_dtype(dtype: Dtype, device: torch.device) -> None:
    """One line in the log where PyTorch computes that type in software, as it does float16 on most CPUs."""
    if device.type != "cpu" or dtype == Dtype.float32:
        return
    with single_threaded(True):
        seconds = {each: _matmul_seconds(getattr(torch, each)) for each in Dtype}
    times = seconds[dtype] / seconds[Dtype.float32]
    if times > SLOW_RATIO:
        quicker = [f"backbone.dtype={each}" for each in Dtype if seconds[each] <= seconds[Dtype.float32]]
        log.warning(
            "backbone.dtype=%s: PyTorch computes it in software on this CPU, %.0f times slower than float32; type %s",
            *(dtype, times, " or ".join(quicker)),
        )


def _matmul_seconds(kind: torch.dtype) -> float:
    """CPU time of a matrix product, which other programs disturb little; the best of three after one to warm up."""
    square, best = torch.ones(MATRIX_SIZE, MATRIX_SIZE, dtype=kind), float("inf")
    for warm in (False, True, True, True):
        started = time.thread_time()
        _ = square @ square
        best = min(best, time.thread_time() - started) if warm else best
    return best


TRIAL_IMAGES = 4  # images of one forward pass in the calibration


MAX_TRIAL_SECONDS = 0.5  # seconds of timing one runtime


def throughput(forward: Forward, trial: RGBArray, threads: int) -> float:
    """Images/s over all lanes, the best of up to three rounds after one to warm up; a slow model gets one.

    Counted in CPU time, which other programs on the machine disturb less than the clock on the wall.
    """
    best, spent = 0.0, 0.0
    with single_threaded(threads > 0), ThreadPoolExecutor(max(threads, 1)) as pool:
        for warm in (False, True, True, True):
            started = time.process_time()
            list(pool.map(forward, [trial] * max(threads, 1)))
            seconds = max(time.process_time() - started, 1e-9) / max(threads, 1)
            best = max(best, max(threads, 1) * len(trial) / seconds) if warm else best
            spent += seconds * warm
            if spent > MAX_TRIAL_SECONDS:
                break
    return best


MAX_CPU_BATCH = 16  # at most: larger batches outgrow the caches and gain nothing
TARGET_SECONDS = 0.5  # that one batch may take on one core: at the end of the list one lane waits for the other's last
GPU_BATCHES = (32, 64, 128, 256, 512)
MIN_SPEEDUP = 1.05  # a doubling that gains less is the last


def cpu_batch_size(backbone: Backbone, forward: Forward) -> int:
    """A power of two up to ON_CPU whose forward pass takes one core about SECONDS."""
    with single_threaded(True):
        _forward_seconds(backbone, forward, 1)
        single = _forward_seconds(backbone, forward, 1)
    batch = 1
    while batch < MAX_CPU_BATCH and 2 * batch * single <= TARGET_SECONDS:
        batch *= 2
    return batch


def gpu_batch_size(backbone: Backbone, forward: Forward) -> int:
    """The batch from which on a doubling gains next to nothing, or does not fit and is halved by `forward`."""
    best, rate = GPU_BATCHES[0], 0.0
    for batch in GPU_BATCHES:
        _forward_seconds(backbone, forward, batch)
        faster = batch / _forward_seconds(backbone, forward, batch)
        if faster < MIN_SPEEDUP * rate:
            break
        best, rate = batch, faster
    log.info("%s: batches of %d images, %.0f images/s", backbone.name, best, rate)
    return best


def _forward_seconds(backbone: Backbone, forward: Forward, batch: int) -> float:
    crops = np.zeros((batch, *backbone.input_size, 3), dtype=np.uint8)
    started = time.perf_counter()
    forward(crops)
    return time.perf_counter() - started
