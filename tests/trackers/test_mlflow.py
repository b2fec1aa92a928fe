from __future__ import annotations

import json
from pathlib import Path

import pytest

from imagenet_nk.trackers.base import RunRecord
from trackers.jobs import run_job


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


@pytest.mark.filterwarnings("ignore")
def test_run_with_mlflow_writes_a_run_of_the_experiment(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed: pip install 'imagenet-nk[mlflow]'")
    output = run_job("mlflow", tmp_path)
    client = mlflow.MlflowClient((tmp_path / "outputs" / "mlruns").as_uri())
    (experiment,) = [each for each in client.search_experiments() if each.name != "Default"]
    (found,) = client.search_runs([experiment.experiment_id])
    top1 = json.loads((output / "metrics.json").read_text())["ncm"]["cosine"]["top1"]["value"]
    assert found.data.metrics["ncm/cosine/top1"] == pytest.approx(top1)
    assert (found.data.params["nk"], found.data.params["backbone.name"]) == ("2", "test_resnet")
    assert {"centers.safetensors", "metrics.json", "report"} <= {
        each.path for each in client.list_artifacts(found.info.run_id)
    }
