"""Which devices a pass runs on, and whether they have the arithmetic that is asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from imagenet_nk.errors import BackboneError


@contextmanager
def one_thread_each(wanted: bool) -> Iterator[None]:
    """torch runs single-threaded in threads that start inside the block."""
    before = torch.get_num_threads()
    if wanted:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


log = logging.getLogger(__name__)


def resolve_devices(wanted: str) -> tuple[torch.device, ...]:
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
