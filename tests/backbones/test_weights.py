"""Weights files: the forms that are read, and the line with which others are refused."""

from __future__ import annotations

import pytest
import safetensors.torch
import torch

from imagenet_nk.backbones import weights
from imagenet_nk.errors import BackboneError

STATE = {"conv1.weight": torch.ones(2, 3), "fc.bias": torch.zeros(2)}
WRAPPED = {f"module.{name}": tensor for name, tensor in STATE.items()}
OLD = {name: tensor + 1 for name, tensor in STATE.items()}


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"epoch": 3, "state_dict": WRAPPED},
        {"model": {f"_orig_mod.{name}": tensor for name, tensor in STATE.items()}},
        {"state_dict": OLD, "state_dict_ema": WRAPPED},
        STATE | {"epoch": 3},
    ],
)
def test_checkpoint_gives_the_tensors_of_the_model(content, tmp_path):
    torch.save(content, tmp_path / "w.pth")
    loaded = weights.load_state_dict(tmp_path / "w.pth")
    assert list(loaded) == list(STATE)
    assert all(torch.equal(loaded[name], STATE[name]) for name in STATE)


def test_safetensors_file_gives_its_tensors(tmp_path):
    safetensors.torch.save_file(STATE, tmp_path / "w.safetensors")
    assert sorted(weights.load_state_dict(tmp_path / "w.safetensors")) == sorted(STATE)


class Hostile:
    def __reduce__(self):
        return print, ("pickled code ran",)


def saved(content):
    return lambda path: torch.save(content, path)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize(
    ("write", "message"),
    [
        (saved(Hostile()), "holds pickled code"),
        (saved({"state_dict": Hostile()}), "holds pickled code"),
        (saved({"a": 1}), "no named tensors"),
        (saved([torch.ones(1)]), "not a weights file"),
        (saved({1: torch.ones(1)}), "not a weights file"),
        (saved({"state_dict": 3}), "not a weights file"),
        (lambda path: path.write_bytes(b"PK\x03\x04 nothing of the kind"), "not a weights file"),
        (lambda path: path.write_bytes(b""), "not a weights file"),
        (lambda path: None, "there is no file"),
    ],
)
def test_other_files_are_refused_in_one_line_and_run_no_code(write, message, suffix, tmp_path, capsys):
    path = tmp_path / f"w{suffix}"
    write(path)
    message = message.replace("no named tensors", "not a weights file") if suffix == ".safetensors" else message
    with pytest.raises(BackboneError, match=message) as raised:
        weights.load_state_dict(path)
    assert "\n" not in str(raised.value)
    assert "pickled code ran" not in capsys.readouterr().out
