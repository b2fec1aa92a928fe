"""What a command says before, or instead of, hours of work."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

import program

SMALL = ["source=demo", "nk=3", "classes.limit=2", "backbone=timm", "backbone.name=test_resnet", "backbone.threads=1"]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return program.run(*SMALL, "dataset.dir=set", "hydra.run.dir=out", *arguments, cwd=folder)


@pytest.mark.parametrize(
    ("text", "says"), [(None, "there is no such file or folder here"), ("a.jpg 1234\n", "outside the label map")]
)
def test_unusable_evaluate_list_is_refused_before_collecting(tmp_path, text, says):
    if text:
        (tmp_path / "asked.txt").write_text(text)
    ended = run(tmp_path, "evaluate.list=asked.txt")
    assert ended.returncode == 1
    assert says in ended.stdout + ended.stderr
    assert not (tmp_path / "set" / "images").exists()


def test_evaluate_list_with_missing_files_is_refused_before_embedding(tmp_path):
    (tmp_path / "asked.txt").write_text("gone/a.jpg 1\n")
    ended = run(tmp_path, "evaluate.list=asked.txt")
    assert ended.returncode == 1
    assert "none of the 1 files" in ended.stdout + ended.stderr
    assert len(list((tmp_path / "set" / "images").rglob("*.*"))) == 6
    assert not (tmp_path / "out" / "centers.safetensors").exists()
    ended = run(tmp_path, "split=holdout", "split.eval_per_class=1", "stages=[lists,centers,evaluate]")
    assert ended.returncode == 0, ended.stderr
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (metrics["protocol"], metrics["images"]) == ("held-out", 2)
