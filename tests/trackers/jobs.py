"""A job with a tracker, run as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "src" / "imagenet.py"


def run_job(tracker: str, folder: Path) -> Path:
    """Run a small job with a tracker; returns its output folder."""
    small = ["nk=2", "classes.limit=3", "backbone=timm", "backbone.name=test_resnet"]
    command = [sys.executable, str(SCRIPT), "source=demo", *small, "hydra.run.dir=out", f"tracker={tracker}"]
    ended = subprocess.run(
        command, cwd=folder, env=os.environ, capture_output=True, text=True, timeout=200, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return folder / "out"
