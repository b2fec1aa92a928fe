"""The devices that embed images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import torch

from imagenet_nk.errors import BackboneError


@contextmanager
def single_threaded(enabled: bool = True) -> Iterator[None]:
    """If `enabled`, PyTorch uses one thread for each operation in threads that start inside the block."""
    before = torch.get_num_threads()
    if enabled:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def resolve_devices(name: str) -> tuple[torch.device, ...]:
    """The devices that `backbone.device` names: `auto` is cuda, else mps, else cpu; `cuda` is every GPU, `cuda:1` one.

    Raises BackboneError for a device that does not exist.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BackboneError(f"backbone.device={name} is not a device; type auto, cpu, cuda, cuda:1 or mps") from error
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(device.type, False):
        raise BackboneError(f"backbone.device={name} is not available here; type backbone.device=auto or =cpu")
    if device.type != "cuda":
        return (device,)
    gpus = tuple(torch.device("cuda", index) for index in range(torch.cuda.device_count()))
    if ":" not in name:
        return gpus
    if device.index >= len(gpus):
        raise BackboneError(f"backbone.device={name} does not exist: this machine has {len(gpus)} GPUs, cuda:0 first")
    return (device,)


_full_float32_lock = Lock()
_full_float32_users = 0
_caller_allows_tf32 = False


@contextmanager
def full_float32() -> Iterator[None]:
    """cuDNN convolves float32 in full precision; the caller's setting returns when the last thread leaves the block.

    PyTorch's default on a GPU is TF32, which rounds the factors of a convolution to ten bits. The flag is one for all
    threads, so those inside the block are counted; torch.backends.cudnn.flags would restore it under the others.
    """
    global _full_float32_users, _caller_allows_tf32
    with _full_float32_lock:
        if _full_float32_users == 0:
            _caller_allows_tf32, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
        _full_float32_users += 1
    try:
        yield
    finally:
        with _full_float32_lock:
            _full_float32_users -= 1
            if _full_float32_users == 0:
                torch.backends.cudnn.allow_tf32 = _caller_allows_tf32
