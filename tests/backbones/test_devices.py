"""Devices, and settings of PyTorch that belong to the caller."""

from __future__ import annotations

import pytest
import torch

from imagenet_nk.backbones.devices import full_float32, resolve_devices, single_threaded
from imagenet_nk.errors import BackboneError


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpu7", "is not a device"),
        pytest.param(
            "cuda",
            "device=cuda is not available",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU"),
        ),
    ],
)
def test_missing_device_is_one_line(name, message):
    with pytest.raises(BackboneError, match=message) as raised:
        resolve_devices(name)
    assert "\n" not in str(raised.value)


def test_cuda_means_every_gpu_and_an_index_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [str(device) for device in resolve_devices("cuda")] == ["cuda:0", "cuda:1"]
    assert [str(device) for device in resolve_devices("cuda:1")] == ["cuda:1"]
    with pytest.raises(BackboneError, match="this machine has 2 GPUs"):
        resolve_devices("cuda:2")


@pytest.mark.parametrize("allowed", [True, False])
def test_tf32_is_off_inside_and_as_before_after_the_last_block(allowed, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", allowed)
    first, second = full_float32(), full_float32()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert torch.backends.cudnn.allow_tf32 is False  # the second thread still computes
    second.__exit__(None, None, None)
    assert torch.backends.cudnn.allow_tf32 is allowed


def test_threads_of_pytorch_are_as_before_after_the_block():
    before = torch.get_num_threads()
    with single_threaded():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
