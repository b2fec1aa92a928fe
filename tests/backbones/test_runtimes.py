"""Runtimes: the same embeddings from each, and a retreat when memory runs out."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest
import torch

from imagenet_nk.backbones import autotune, model, runtimes
from imagenet_nk.errors import BackboneError, CentersError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def built():
    from imagenet_nk.config import BackboneConfig
    from small_models import TINY

    return model.build(BackboneConfig(name=TINY, pretrained=False))


@pytest.fixture
def crops(built):
    return np.random.default_rng(0).integers(0, 256, (6, *built.input_size, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["eager", "openvino"])
def test_a_runtime_gives_the_embeddings_of_plain_pytorch(name, built, crops, tiny):
    if name == "openvino":
        pytest.importorskip("openvino", reason="the extra openvino is not installed")
    config = dataclasses.replace(tiny, runtime=name)  # batches of 4: the 6 crops are one full batch and one filled up
    forward = runtimes.select_runtime(built, [CPU], config, calibrate=False, threads=2).forward
    with torch.inference_mode():
        plain = built.model(
            runtimes.normaliser(built.data)(torch.from_numpy(crops.transpose(0, 3, 1, 2).copy()))
        ).numpy()
    np.testing.assert_allclose(forward(crops), plain, rtol=1e-4, atol=1e-5 * np.abs(plain).max())


def test_auto_takes_the_quickest_and_says_so(built, crops, tiny, caplog):
    with caplog.at_level(logging.INFO):
        chosen = runtimes.select_runtime(built, [CPU], tiny, calibrate=True, threads=2)
    assert chosen.rates[chosen.name] == max(chosen.rates.values())
    assert {"eager", "channels_last"} <= set(chosen.rates)
    assert f"runs on {chosen.name}" in caplog.text
    eager = runtimes.eager(built, CPU)(crops)
    np.testing.assert_allclose(chosen.forward(crops), eager, rtol=1e-4, atol=1e-5 * np.abs(eager).max())


def test_a_runtime_that_fails_on_the_model_is_left_out(built, caplog):
    def broken():
        raise BackboneError("no such operation")

    with caplog.at_level(logging.INFO):
        chosen = runtimes._autotune(built, {"eager": lambda: runtimes.eager(built, CPU), "openvino": broken}, 4, 1)
    assert chosen.name == "eager"
    assert "no such operation" in caplog.text


def test_a_runtime_that_is_not_installed_is_one_line(built, tiny, monkeypatch):
    monkeypatch.setattr(runtimes, "find_spec", lambda _: None)
    with pytest.raises(BackboneError, match="pip install"):
        runtimes.select_runtime(built, [CPU], dataclasses.replace(tiny, runtime="openvino"), calibrate=True, threads=2)


def test_the_batch_is_what_a_core_does_in_about_half_a_second(built, monkeypatch):
    taken = {"each": 0.0}
    clock = {"now": 0.0}
    monkeypatch.setattr(autotune.time, "perf_counter", lambda: clock["now"])

    def forward(crops):
        clock["now"] += taken["each"] * len(crops)

    for taken["each"], wanted in ((0.001, 16), (0.05, 8), (0.2, 2), (5.0, 1)):
        assert autotune.cpu_batch_size(built, forward) == wanted


def test_on_a_gpu_the_batch_grows_as_long_as_that_pays(built, monkeypatch):
    clock = {"now": 0.0}
    monkeypatch.setattr(autotune.time, "perf_counter", lambda: clock["now"])

    def forward(crops):
        clock["now"] += 1 + len(crops) / 128 if len(crops) < 256 else 10

    assert autotune.gpu_batch_size(built, forward) == 128


def short_of_memory(limit):
    def forward(crops):
        if len(crops) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return crops[:, 0, 0, :].astype(np.float32)

    return forward


def test_a_batch_that_does_not_fit_is_halved(crops, caplog):
    result = runtimes._halve_on_oom(short_of_memory(2))(crops)
    np.testing.assert_array_equal(result, crops[:, 0, 0, :])
    assert "trying 3" in caplog.text


def test_one_image_that_does_not_fit_is_one_line(crops):
    with pytest.raises(CentersError, match="one image is more"):
        runtimes._halve_on_oom(short_of_memory(0))(crops)


def test_other_errors_are_no_shortage_of_memory(crops):
    def broken(_):
        raise RuntimeError("size mismatch")

    with pytest.raises(RuntimeError, match="size mismatch"):
        runtimes._halve_on_oom(broken)(crops)


def test_the_allocator_is_asked_only_where_it_is_glibcs(monkeypatch):
    monkeypatch.setattr(runtimes.sys, "platform", "darwin")
    assert runtimes.keep_big_buffers() is False
