"""`tracker=mlflow`: a run of an experiment, with parameters, metrics, and the results as artifacts."""

from __future__ import annotations

import os
from pathlib import Path

from imagenet_nk.trackers.base import RunRecord, require

_LONGEST = 500  # characters of a parameter's value that every store takes
_ARTIFACTS = ("metrics.json", "cost.json", "stages.json", "centers.safetensors", ".hydra/config.yaml")


class Mlflow:
    """Logs to a tracking server, or to a folder of files."""

    def __init__(self, uri: str, experiment: str) -> None:
        """uri: of a tracking server, or a folder. Raises ConfigError without the package."""
        require("mlflow", "mlflow")
        self._uri, self._experiment = uri, experiment

    def log(self, run: RunRecord) -> None:
        """Log one run under the name of its output folder."""
        # Recent versions refuse a folder of files unless told otherwise, and report their use to their makers.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        import mlflow

        mlflow.set_tracking_uri(self._uri if "://" in self._uri else Path(self._uri).absolute().as_uri())
        mlflow.set_experiment(self._experiment)
        with mlflow.start_run(run_name="-".join(run.output.resolve().parts[-2:])):
            mlflow.log_params({key: value[:_LONGEST] for key, value in run.parameters().items()})
            mlflow.log_metrics(run.figures())
            for name in _ARTIFACTS:
                if (path := run.output / name).is_file():
                    mlflow.log_artifact(str(path))
            if (report := run.output / "report").is_dir():
                mlflow.log_artifacts(str(report), "report")
