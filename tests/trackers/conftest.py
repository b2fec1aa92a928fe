"""The output folder of a finished run, for the tests of trackers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imagenet_nk.trackers.base import RunRecord

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
