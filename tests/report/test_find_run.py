"""Which run a report is about, and what it says of one that was stopped or killed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

import program
from imagenet_nk.errors import DatasetError
from imagenet_nk.report import find_run
from program import Program
from report.making import Run

SCRIPT = Path(__file__).resolve().parents[2] / "src" / "imagenet.py"


def begun(run: Path, folder: Path, stages: list[str], at: float) -> Path:
    """The output folder of a run over a data set that was stopped while it collected."""
    (run / ".hydra").mkdir(parents=True)
    (run / ".hydra" / "config.yaml").write_text(json.dumps({"stages": stages, "dataset": {"dir": folder.name}}))
    (run / ".hydra" / "hydra.yaml").write_text(json.dumps({"hydra": {"runtime": {"cwd": str(folder.parent)}}}))
    (run / "stages.json").write_text('[{"name": "collect", "started": "", "seconds": null}]')
    os.utime(run / "stages.json", (at, at))
    return run


def test_run_with_centers_is_its_own_report(good: Run) -> None:
    assert find_run.select_run(None, good.output, good.folder, good.place) == good.output


def test_run_without_centers_reports_on_the_newest_with_centers(good: Run, tmp_path: Path) -> None:
    assert find_run.select_run(None, tmp_path, good.folder, good.place) == good.output


def test_centers_of_another_list_do_not_count(spoiled: Run, tmp_path: Path) -> None:
    with (spoiled.folder / "eval.txt").open("a") as file:
        file.write("images/another.jpg 0\n")
    assert find_run.select_run(None, tmp_path / "x", spoiled.folder, spoiled.place) == tmp_path / "x"


def test_report_run_is_preferred(good: Run, tmp_path: Path) -> None:
    assert find_run.select_run(str(tmp_path), good.output, good.folder, good.place) == tmp_path


def test_missing_report_run_is_refused(good: Run) -> None:
    with pytest.raises(DatasetError, match=r"report\.run=gone is no folder"):
        find_run.select_run("gone", good.output, good.folder, good.place)


def test_newest_run_counts_even_if_it_was_stopped(spoiled: Run, tmp_path: Path) -> None:
    made = (spoiled.output / "centers.safetensors").stat().st_mtime
    all_ = ["collect", "lists", "centers", "evaluate", "report"]
    stopped = begun(spoiled.place / "stopped", spoiled.folder, all_, made + 10)
    begun(spoiled.place / "older", spoiled.folder, all_, made - 10)
    begun(spoiled.place / "elsewhere", tmp_path / "another", all_, made + 20)
    begun(spoiled.place / "images_alone", spoiled.folder, ["collect", "lists"], made + 20)
    assert find_run.select_run(None, tmp_path / "x", spoiled.folder, spoiled.place) == stopped


def test_each_backbone_of_a_run_is_a_run_and_their_parent_is_not(spoiled: Run, tmp_path: Path) -> None:
    above = begun(spoiled.place / "several", spoiled.folder, ["centers"], time.time() + 100)
    spoiled.output.rename(above / "test_resnet")
    assert find_run.select_run(None, tmp_path / "x", spoiled.folder, spoiled.place) == above / "test_resnet"


def test_killed_collection_has_a_report_and_continues(tmp_path: Path) -> None:
    """kill -9 leaves neither manifest nor classes.csv."""
    command = ["source=demo", "dataset.dir=ds", "nk=10"]
    command += ["classes.limit=12", "backbone=timm", "backbone.name=test_resnet"]
    with Program(*command, cwd=tmp_path) as process:
        until = time.monotonic() + 100
        while len(list(tmp_path.glob("ds/images/*/*.jpg"))) < 20 and time.monotonic() < until:
            time.sleep(0.05)
        process.kill()
    killed = next((tmp_path / "outputs").glob("*/*"))
    assert not (tmp_path / "ds" / "manifest.parquet").exists()

    said = program.run("source=demo", "dataset.dir=ds", "stages=[report]", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert "a collection into ds was interrupted; it has kept" in said.stdout + said.stderr
    kept = [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("kept ")]
    assert len(kept) == 1
    assert "of 12 classes" in kept[0]
    page = (killed / "report" / "index.html").read_text(encoding="utf-8")
    assert "The run was interrupted" in page
    assert "missing: part of the images, the lists, the centers, the evaluation" in page

    ended = program.run(*command, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    fresh = [*command, "dataset.dir=fresh", "stages=[collect,lists]"]
    assert program.run(*fresh, cwd=tmp_path).returncode == 0
    assert (tmp_path / "ds" / "eval.txt").read_bytes() == (tmp_path / "fresh" / "eval.txt").read_bytes()
