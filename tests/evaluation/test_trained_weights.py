"""The whole program with trained weights over real photographs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT
from imagenet_nk.backbones.packaged_weights import save_packaged_weights
from imagenet_nk.classes.loading import clsloc_wnids

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]
MODEL = "tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "lite0.safetensors"
    save_packaged_weights(MODEL, path)
    return path


def run(place: Path, weights: Path, *options: str) -> dict[str, Any]:
    """One run of the program; returns its metrics."""
    command = [
        *(sys.executable, str(ROOT / "src" / "imagenet.py"), "source=full", "source@fallback=none", "backbone=timm"),
        *(f"backbone.name={MODEL}", f"backbone.checkpoint={weights}", f"dataset.dir={place / 'data'}"),
        *(f"hydra.run.dir={place / 'out'}", "require_complete=false", *options),
    ]
    ended = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=500, check=False)
    assert ended.returncode == 0, ended.stderr
    metrics: dict[str, Any] = json.loads((place / "out" / "metrics.json").read_text())
    return metrics


@pytest.fixture(scope="module")
def tiny(weights: Path, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over 200 classes of Tiny ImageNet."""
    place = tmp_path_factory.mktemp("tiny")
    root = shared / "data" / "tiny-imagenet"
    (place / "wnids.txt").write_text("".join(f"{wnid}\n" for wnid in sorted(path.name for path in root.iterdir())))
    run(place, weights, f"source.root={root}", f"classes.wnids={place / 'wnids.txt'}", "nk=null")
    return place


def test_nearest_class_mean_and_head_on_tiny_imagenet(tiny: Path) -> None:
    metrics = json.loads((tiny / "out" / "metrics.json").read_text())
    assert metrics["ncm"]["cosine"]["top1"]["value"] == pytest.approx(0.479, abs=0.005)
    assert metrics["classifier_head"]["top1_among_centers"] == pytest.approx(0.527, abs=0.005)
    assert not metrics["label_check"]["labels_wrong"]
    assert metrics["label_check"]["swapped_classes"] == []


@pytest.mark.parametrize(("order", "first"), [("clsloc", 0), ("sorted", 1)])
def test_a_list_in_another_order_is_named(tiny: Path, weights: Path, tmp_path: Path, order: str, first: int) -> None:
    """The lists of the same images, numbered in another order; the embeddings are cached."""
    wnids = sorted(clsloc_wnids()) if order == "sorted" else clsloc_wnids()
    number = {wnid: index for index, wnid in enumerate(wnids, start=first)}
    listed = tiny / "data" / "eval.txt"
    original = listed.read_text()
    lines = [line.rpartition(" ")[0] for line in original.splitlines()]
    try:
        listed.write_text("".join(f"{path} {number[path.split('/')[1]]}\n" for path in lines))
        options = ("stages=[centers,evaluate]", f"hydra.run.dir={tmp_path}", f"dataset.dir={tiny / 'data'}")
        metrics = json.loads((run_again(tiny, weights, options, tmp_path)).read_text())
    finally:
        listed.write_text(original)
    assert metrics["label_check"]["matching_label_order"] == f"{order} from {first}"


def run_again(place: Path, weights: Path, options: tuple[str, ...], output: Path) -> Path:
    command = [
        *(sys.executable, str(ROOT / "src" / "imagenet.py"), "source=full", f"source.root={place}", "backbone=timm"),
        *(f"backbone.name={MODEL}", f"backbone.checkpoint={weights}", *options),
    ]
    ended = subprocess.run(command, cwd=output, capture_output=True, text=True, timeout=500, check=False)
    assert ended.returncode == 0, ended.stderr
    return output / "metrics.json"


def test_head_on_a_thousand_photographs(weights: Path, shared: Path, tmp_path: Path) -> None:
    photographs = shared / "data" / "imagenet-samples"
    for photograph in sorted(photographs.glob("*.JPEG")):
        folder = tmp_path / "images" / photograph.name.split("_")[0]
        folder.mkdir(parents=True)
        (folder / photograph.name).symlink_to(photograph)
    metrics = run(
        tmp_path, weights, f"source.root={tmp_path / 'images'}", "nk=1", "stages=[collect,lists,centers,evaluate]"
    )
    assert metrics["images"] == 0  # no center can leave out the only image of its class
    assert metrics["classifier_head"]["top1"] == pytest.approx(0.883, abs=0.005)
    assert metrics["classifier_head"]["images"] == 1000
    assert metrics["label_check"]["matching_head_order"] == "sorted"
    assert not metrics["label_check"]["labels_wrong"]
