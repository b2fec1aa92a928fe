"""Runtimes: every one gives the same embeddings."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest
import torch

from imagenet_nk.backbones import model, runtimes
from imagenet_nk.config import BackboneConfig
from imagenet_nk.errors import BackboneError
from small_models import TINY

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def backbone():
    return model.build(BackboneConfig(name=TINY, pretrained=False))


@pytest.fixture
def crops(backbone):
    return np.random.default_rng(0).integers(0, 256, (6, *backbone.input_size, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["eager", "openvino"])
def test_runtime_gives_the_embeddings_of_plain_pytorch(name, backbone, crops, tiny):
    if name == "openvino":
        pytest.importorskip("openvino", reason="the extra openvino is not installed")
    config = dataclasses.replace(tiny, runtime=name)  # batches of 4: of 6 crops, one batch is full and one padded
    forward = runtimes.select_runtime(backbone, [CPU], config, calibrate=False, threads=2).forward
    with torch.inference_mode():
        plain = backbone.model(
            runtimes.normaliser(backbone.data)(torch.from_numpy(crops.transpose(0, 3, 1, 2).copy()))
        ).numpy()
    np.testing.assert_allclose(forward(crops), plain, rtol=1e-4, atol=1e-5 * np.abs(plain).max())


def test_auto_takes_the_fastest_and_logs_it(backbone, crops, tiny, caplog):
    with caplog.at_level(logging.INFO):
        selected = runtimes.select_runtime(backbone, [CPU], tiny, calibrate=True, threads=2)
    assert selected.rates[selected.name] == max(selected.rates.values())
    assert {"eager", "channels_last"} <= set(selected.rates)
    assert f"runs on {selected.name}" in caplog.text
    eager = runtimes.eager(backbone, CPU)(crops)
    np.testing.assert_allclose(selected.forward(crops), eager, rtol=1e-4, atol=1e-5 * np.abs(eager).max())


def test_runtime_that_fails_on_the_model_is_skipped(backbone, caplog):
    def broken():
        raise BackboneError("no such operation")

    with caplog.at_level(logging.INFO):
        selected = runtimes._autotune(
            backbone, {"eager": lambda: runtimes.eager(backbone, CPU), "openvino": broken}, 4, 1
        )
    assert selected.name == "eager"
    assert "no such operation" in caplog.text


def test_missing_runtime_is_one_line(backbone, tiny, monkeypatch):
    monkeypatch.setattr(runtimes, "find_spec", lambda _: None)
    with pytest.raises(BackboneError, match="pip install"):
        runtimes.select_runtime(
            backbone, [CPU], dataclasses.replace(tiny, runtime="openvino"), calibrate=True, threads=2
        )


def test_forward_pass_leaves_the_flags_of_pytorch(backbone, crops, tiny, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    inside = []
    backbone.model.register_forward_hook(lambda *_: inside.append(torch.backends.cudnn.allow_tf32))
    runtimes.select_runtime(backbone, [CPU], tiny, calibrate=False, threads=2).forward(crops)
    assert inside == [False]
    assert torch.backends.cudnn.allow_tf32 is True


def test_replicas_on_several_devices_give_the_same(backbone, crops, tiny):
    both = runtimes.replicate(backbone, [CPU, CPU], tiny.dtype, torch.contiguous_format)
    for _ in range(5):
        np.testing.assert_allclose(both(crops), runtimes.eager(backbone, CPU)(crops), rtol=1e-5, atol=1e-6)
