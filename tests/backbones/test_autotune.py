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
    ("device", "seconds", "warns"), [("cpu", 90.0, True), ("cpu", 1.5, False), ("cuda", 90.0, False)]
)
def test_only_a_slow_type_on_a_cpu_is_warned_of(device, seconds, warns, monkeypatch, caplog):
    times = {torch.float32: 3.0, torch.bfloat16: 1.5, torch.float16: seconds}
    monkeypatch.setattr(autotune, "_matmul_seconds", times.__getitem__)
    autotune.warn_if_slow_dtype(Dtype.float16, torch.device(device))
    assert (
        "30 times slower than float32; type backbone.dtype=float32 or backbone.dtype=bfloat16" in caplog.text
    ) == warns
    assert caplog.text.count("\n") == warns
