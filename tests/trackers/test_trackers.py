"""Trackers over a real run's output folder: what they keep is read back with their own readers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from imagenet_nk.errors import ConfigError
from imagenet_nk.trackers.base import RunRecord, require

SCRIPT = Path(__file__).resolve().parents[2] / "src" / "imagenet.py"

SETTINGS = {"nk": 10, "source": {"list": ["a", "b"]}, "backbone": {"name": "resnet18", "checkpoint": None}}
METRICS = {
    "protocol": "leave-one-out",
    "classes": 2,
    "ncm": {"cosine": {"top1": {"value": 0.75, "ci95": [0.5, 1.0]}, "top5": None}},
    "classifier_head": None,
    "per_class": [{"wnid": "n01440764"}],
}


@pytest.fixture
def run(tmp_path: Path) -> RunRecord:
    output = tmp_path / "2020-01-01" / "12-00-00"
    (output / "report").mkdir(parents=True)
    (output / "report" / "index.html").write_text("<p>report")
    (output / "metrics.json").write_text(json.dumps(METRICS))
    (output / "cost.json").write_text('{"backbone": "resnet18", "gmacs": 1.8, "images_per_s": null}')
    (output / "stages.json").write_text('[{"name": "collect", "started": "", "seconds": 3.5}]')
    return RunRecord(output, SETTINGS)


def test_figures_are_the_numbers_and_no_more(run: RunRecord) -> None:
    assert run.figures() == {"classes": 2.0, "ncm/cosine/top1": 0.75, "cost/gmacs": 1.8, "seconds/collect": 3.5}


def test_parameters_are_the_configuration_by_dotted_key(run: RunRecord) -> None:
    assert run.parameters() == {
        "nk": "10",
        "source.list": "['a', 'b']",
        "backbone.name": "resnet18",
        "backbone.checkpoint": "None",
    }


def test_a_missing_package_is_one_line_with_what_to_install() -> None:
    with pytest.raises(ConfigError, match=r"tracker=mlflow needs the package no_such: pip install 'imagenet-nk\[ml"):
        require("no_such", "mlflow")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_reads_back_scalars_configuration_and_projector(run: RunRecord, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install 'imagenet-nk[tensorboard]'")
    import numpy as np
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from imagenet_nk.centers.file import NAME, Centers
    from imagenet_nk.trackers.tensorboard import Tensorboard

    points = np.arange(6, dtype=np.float32).reshape(2, 3)
    columns = np.array([1, 1]), np.array([0, 1]), np.zeros(2, np.float32)
    Centers(points, *columns, ("n01440764", "n01443537"), ("tench", "gold\tfish")).save(run.output / NAME)
    Tensorboard(str(tmp_path / "board")).log(run)
    folder = tmp_path / "board" / "2020-01-01-12-00-00"
    events = EventAccumulator(str(folder)).Reload()
    assert events.Scalars("ncm/cosine/top1")[0].value == pytest.approx(0.75)
    assert set(events.Tags()["tensors"]) == {"configuration/text_summary", "report/text_summary"}
    vectors = next(folder.rglob("tensors.tsv")).read_text().split()
    assert list(map(float, vectors)) == [0, 1, 2, 3, 4, 5]
    assert next(folder.rglob("metadata.tsv")).read_text().splitlines()[1] == "tench\tn01440764\t0"


@pytest.mark.filterwarnings("ignore")
def test_mlflow_reads_back_parameters_metrics_and_report(run: RunRecord, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed: pip install 'imagenet-nk[mlflow]'")
    from imagenet_nk.trackers.mlflow import Mlflow

    Mlflow(str(tmp_path / "runs"), "test").log(run)
    client = mlflow.MlflowClient((tmp_path / "runs").as_uri())
    found = client.search_runs([client.get_experiment_by_name("test").experiment_id])
    assert len(found) == 1
    assert found[0].data.metrics["ncm/cosine/top1"] == 0.75
    assert found[0].data.params["backbone.name"] == "resnet18"
    assert [file.path for file in client.list_artifacts(found[0].info.run_id, "report")] == ["report/index.html"]


def job(tracker: str, place: Path) -> Path:
    """A whole small run with a tracker; returns its output folder."""
    small = ["nk=2", "classes.limit=3", "backbone=timm", "backbone.name=test_resnet"]
    command = [sys.executable, str(SCRIPT), "source=demo", *small, "hydra.run.dir=out", f"tracker={tracker}"]
    ended = subprocess.run(command, cwd=place, env=os.environ, capture_output=True, text=True, timeout=200, check=False)
    assert ended.returncode == 0, ended.stderr
    return place / "out"


def test_a_run_with_tensorboard_leaves_events_of_its_figures(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install 'imagenet-nk[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    output = job("tensorboard", tmp_path)
    events = EventAccumulator(str(output / "tensorboard")).Reload()
    top1 = json.loads((output / "metrics.json").read_text())["ncm"]["cosine"]["top1"]["value"]
    assert events.Scalars("ncm/cosine/top1")[0].value == pytest.approx(top1)
    assert events.Scalars("seconds/collect")[0].value > 0
    assert len(next((output / "tensorboard").rglob("tensors.tsv")).read_text().splitlines()) == 3


@pytest.mark.filterwarnings("ignore")
def test_a_run_with_mlflow_leaves_a_run_of_an_experiment(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed: pip install 'imagenet-nk[mlflow]'")
    output = job("mlflow", tmp_path)
    client = mlflow.MlflowClient((tmp_path / "outputs" / "mlruns").as_uri())
    (experiment,) = [each for each in client.search_experiments() if each.name != "Default"]
    (found,) = client.search_runs([experiment.experiment_id])
    top1 = json.loads((output / "metrics.json").read_text())["ncm"]["cosine"]["top1"]["value"]
    assert found.data.metrics["ncm/cosine/top1"] == pytest.approx(top1)
    assert (found.data.params["nk"], found.data.params["backbone.name"]) == ("2", "test_resnet")
    assert {"centers.safetensors", "metrics.json", "report"} <= {
        each.path for each in client.list_artifacts(found.info.run_id)
    }
