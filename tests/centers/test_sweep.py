"""A sweep over backbones with cache=crops, as a user types it: the second job decodes nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from imagenet_nk import load_centers

SCRIPT = Path(__file__).resolve().parents[2] / "src" / "imagenet.py"
SMALL = ["source=demo", "nk=2", "classes.limit=3", "backbone=timm", "backbone.pretrained=false", "backbone.threads=1"]
SWEEP = ["backbone.name=test_vit,test_efficientnet", "cache=crops", "stages=[collect,lists,centers,evaluate]"]


def test_the_second_job_of_a_sweep_decodes_nothing(tmp_path):
    told = ["-m", *SMALL, *SWEEP, "hydra.sweep.dir=sweep", "dataset.dir=dataset"]
    ended = subprocess.run([sys.executable, str(SCRIPT), *told], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    logs = [(tmp_path / "sweep" / job / "imagenet.log").read_text() for job in ("0", "1")]
    assert "0 of 6 crops are there from before" in logs[0]
    assert "6 of 6 crops are there from before" in logs[1]
    for job, name in (("0", "test_vit"), ("1", "test_efficientnet")):
        made = load_centers(tmp_path / "sweep" / job)
        assert made.metadata["backbone"] == name
        assert made.counts.tolist() == [2, 2, 2]
