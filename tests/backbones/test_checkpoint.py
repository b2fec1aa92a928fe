"""Weights files: the forms that are read, and the line with which others are refused."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from imagenet_nk.backbones.checkpoint import checkpoint_path, read_tensors, weights_in
from imagenet_nk.errors import BackboneError

STATE = {"conv1.weight": torch.ones(2, 3), "fc.bias": torch.zeros(2)}


def says(function, *arguments) -> str:
    """The one line with which a call is refused."""
    with pytest.raises(BackboneError) as raised:
        function(*arguments)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_every_tensor_is_named_by_the_dictionaries_that_it_is_in(tmp_path):
    torch.save({"epoch": 3, "state_dict": STATE, "optimizer": {"state": {0: {"m": torch.ones(1)}}}}, tmp_path / "w")
    assert sorted(read_tensors(tmp_path / "w")) == [
        "optimizer.state.0.m", "state_dict.conv1.weight", "state_dict.fc.bias",
    ]  # fmt: skip


def test_what_training_scripts_leave_beside_the_weights_is_read(tmp_path):
    extras = {"args": argparse.Namespace(lr=0.1), "metric": np.float64(76.1), "best": np.int64(3), "f": np.float32(1)}
    torch.save({"state_dict": STATE, **extras}, tmp_path / "w.pth.tar")
    assert len(read_tensors(tmp_path / "w.pth.tar")) == 2


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
def test_the_content_decides_and_not_the_name(name, tmp_path):
    safetensors.torch.save_file(STATE, tmp_path / name)
    assert sorted(read_tensors(tmp_path / name)) == sorted(STATE)


def test_index_gives_the_tensors_of_all_its_files(tmp_path):
    for number, (name, tensor) in enumerate(STATE.items()):
        safetensors.torch.save_file({name: tensor}, tmp_path / f"model-{number}.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {name: f"model-{n}.safetensors" for n, name in enumerate(STATE)}}))
    assert sorted(read_tensors(index)) == sorted(read_tensors(weights_in(tmp_path))) == sorted(STATE)
    (tmp_path / "model-1.safetensors").unlink()
    assert "names 1 file that are not beside it: model-1.safetensors" in says(read_tensors, index)
    index.write_text("{}")
    assert "has no weight_map" in says(read_tensors, index)


class Hostile:
    def __reduce__(self):
        return print, ("pickled code ran",)


def saved(content):
    return lambda path: torch.save(content, path)


def cut(path: Path) -> None:
    torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:-200])


def cut_safetensors(path: Path) -> None:
    safetensors.torch.save_file(STATE, path)
    path.write_bytes(path.read_bytes()[:-4])


REFUSED = {
    "code": (saved(Hostile()), "holds pickled code"),
    "code inside": (saved({"state_dict": STATE, "x": Hostile()}), "which is not run"),
    "no tensors": (saved({"a": 1}), "no named tensors"),
    "a list": (saved([torch.ones(1)]), "no named tensors"),
    "cut": (cut, "is cut short or damaged"),
    "cut safetensors": (cut_safetensors, "is cut short or damaged"),
    "false zip": (lambda path: path.write_bytes(b"PK\x03\x04 nothing of the kind"), "is cut short or damaged"),
    "false pickle": (lambda path: path.write_bytes(b"\x80\x02}q\x00" + bytes(range(200))), "is cut short or damaged"),
    "noise": (lambda path: path.write_bytes(np.random.default_rng(1).bytes(4000)), "not a weights file"),
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "pointer": (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "type git lfs pull"),
    "page": (lambda path: path.write_text("<!doctype html>"), "is a web page"),
    "missing": (lambda path: None, "does not exist"),
    "fifo": (os.mkfifo, "is not a regular file"),
    "empty folder": (lambda path: path.mkdir(), "is a folder; give the file in it"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_other_files_are_refused_in_one_line_and_run_no_code(kind, tmp_path, capsys):
    write, message = REFUSED[kind]
    write(tmp_path / "w.pt")
    assert message in says(read_tensors, tmp_path / "w.pt")
    assert "pickled code ran" not in capsys.readouterr().out


def test_paths_of_the_home_folder_are_taken_and_addresses_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    safetensors.torch.save_file(STATE, tmp_path / "model.safetensors")
    assert checkpoint_path("~/model.safetensors") == tmp_path / "model.safetensors"
    assert f"such as {tmp_path}/model.safetensors" in says(checkpoint_path, "~")
    assert "is an address" in says(checkpoint_path, "https://host.example/w.pth")
    assert "cannot be opened" in says(checkpoint_path, "~no-such-user/w.pth")


def test_the_line_of_python_that_a_refusal_names_converts_the_file(tmp_path):
    content = {"model": torch.nn.Linear(2, 3), "when": Path("x")}
    torch.save(content, tmp_path / "it's.pt")
    message = says(read_tensors, tmp_path / "it's.pt")
    assert "pathlib" in message or "torch.nn" in message
    command = shlex.split(message.partition("with: python ")[2])
    subprocess.run([sys.executable, *command], check=True)
    assert sorted(read_tensors(tmp_path / "it's.tensors.pt")) == ["model.bias", "model.weight"]


@pytest.mark.parametrize("save", [torch.save, safetensors.torch.save_file])
def test_damaged_files_are_read_or_refused_in_one_line(save, tmp_path):
    path, rng = tmp_path / "w.pt", np.random.default_rng(0)
    save(STATE, path)
    whole = path.read_bytes()
    for _ in range(60):
        data = bytearray(whole[: rng.integers(1, len(whole))] if rng.random() < 0.5 else whole)
        for place in rng.integers(0, len(data), 4):
            data[place] = rng.integers(256)
        path.write_bytes(data)
        try:
            assert read_tensors(path)
        except BackboneError as error:
            assert "\n" not in str(error)  # noqa: PT017
