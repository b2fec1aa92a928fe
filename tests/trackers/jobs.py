"""A job with a tracker, run as a user runs it."""

from __future__ import annotations

from pathlib import Path

import program


def run_job(tracker: str, folder: Path) -> Path:
    """Run a small job with a tracker; returns its output folder."""
    small = ["nk=2", "classes.limit=3", "backbone=timm", "backbone.name=test_resnet"]
    ended = program.run("source=demo", *small, "hydra.run.dir=out", f"tracker={tracker}", cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return folder / "out"
