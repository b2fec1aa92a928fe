"""Batch sizes and data types, by a clock that the test turns."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from imagenet_nk.backbones import autotune
from imagenet_nk.config import Dtype

BACKBONE = SimpleNamespace(name="model", input_size=(4, 4))


@pytest.fixture
def clock(monkeypatch):
    state = SimpleNamespace(now=0.0)
    monkeypatch.setattr(autotune.time, "perf_counter", lambda: state.now)
    return state


@pytest.mark.parametrize(("seconds", "batch"), [(0.001, 16), (0.05, 8), (0.2, 2), (5.0, 1)])
def test_batch_on_a_cpu_takes_about_half_a_second(clock, seconds, batch):
    def forward(crops):
        clock.now += seconds * len(crops)

    assert autotune.cpu_batch_size(BACKBONE, forward) == batch


def test_batch_on_a_gpu_grows_while_throughput_grows(clock):
    def forward(crops):
        clock.now += 1 + len(crops) / 128 if len(crops) < 256 else 10

    assert autotune.gpu_batch_size(BACKBONE, forward) == 128


@pytest.mark.parametrize(
    ("dtype", "device", "warnings"),
    [(Dtype.float16, "cpu", 1), (Dtype.float16, "cuda", 0), (Dtype.bfloat16, "cpu", 0), (Dtype.float32, "cpu", 0)],
)
def test_only_float16_on_a_cpu_is_warned_of(dtype, device, warnings, caplog):
    autotune.warn_if_slow_dtype(dtype, torch.device(device))
    assert caplog.text.count("type backbone.dtype=float32 or") == warnings
