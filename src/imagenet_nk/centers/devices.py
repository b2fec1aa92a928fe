"""Which devices a pass runs on, and whether they have the arithmetic that is asked for."""

from __future__ import annotations

import logging
import time

import torch

from imagenet_nk.centers.lanes import one_thread_each
from imagenet_nk.config import Dtype
from imagenet_nk.errors import BackboneError

log = logging.getLogger(__name__)

PROBE = 256  # rows and columns of the matrices that are multiplied to see how quick a type is: 10 ms at the worst
SLOW = 2.0  # times the seconds of float32 from which on a type has no arithmetic of its own


def choose(wanted: str) -> tuple[torch.device, ...]:
    """The devices of that name: `auto` is cuda, else mps, else cpu; `cuda` is every GPU, `cuda:1` that one.

    Raises BackboneError for one that is not there.
    """
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise BackboneError(f"backbone.device={wanted} is no device; type auto, cpu, cuda, cuda:1 or mps") from error
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(device.type, False):
        raise BackboneError(f"backbone.device={wanted}: no such device here; type backbone.device=auto or =cpu")
    if device.type != "cuda":
        return (device,)
    if (device.index or 0) >= torch.cuda.device_count():
        raise BackboneError(f"backbone.device={wanted}: there are {torch.cuda.device_count()} GPUs, from cuda:0 on")
    return (
        (device,)
        if device.index is not None
        else tuple(torch.device("cuda", n) for n in range(torch.cuda.device_count()))
    )


def warn_of_slow(dtype: Dtype, device: torch.device) -> None:
    """One line in the log where PyTorch computes that type in software, as it does float16 on most CPUs."""
    if device.type != "cpu" or dtype == Dtype.float32:
        return
    with one_thread_each(True):
        seconds = {each: _seconds(getattr(torch, each)) for each in Dtype}
    times = seconds[dtype] / seconds[Dtype.float32]
    if times > SLOW:
        quicker = [f"backbone.dtype={each}" for each in Dtype if seconds[each] <= seconds[Dtype.float32]]
        log.warning(
            "backbone.dtype=%s: PyTorch computes it in software on this CPU, %.0f times slower than float32; type %s",
            *(dtype, times, " or ".join(quicker)),
        )


def _seconds(kind: torch.dtype) -> float:
    """CPU time of a matrix product, which other programs disturb little; the best of three after one to warm up."""
    square, best = torch.ones(PROBE, PROBE, dtype=kind), float("inf")
    for warm in (False, True, True, True):
        started = time.thread_time()
        _ = square @ square
        best = min(best, time.thread_time() - started) if warm else best
    return best
