"""torchrun as a user types it: two ranks, one result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from collect.pictures import encoded
from imagenet_nk import load_centers

SRC = Path(__file__).resolve().parents[2] / "src"
WNIDS = ("n01440764", "n01443537", "n01484850")
RANKS = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
OTHER_WEIGHTS = """
import os
if os.environ.get("RANK") == "1":
    import torch
    seeded = torch.manual_seed
    torch.manual_seed = lambda seed: seeded(seed + 1)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set of 150 small images in three classes, one of them cut short."""
    folder = tmp_path_factory.mktemp("torchrun")
    lines = []
    for label, wnid in enumerate(WNIDS):
        for number in range(50):
            path = folder / "dataset" / "images" / wnid / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            data = encoded((wnid, number), quality=60)
            path.write_bytes(data[:300] if (label, number) == (1, 7) else data)
            lines.append(f"images/{wnid}/{number}.jpg {label}\n")
    (folder / "dataset" / "eval.txt").write_text("".join(lines))
    return folder


def start(place: Path, run: str, *arguments: str, by: tuple[str, ...] = (), **variables: str) -> subprocess.Popen[str]:
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("HYDRA", "IMAGENET_NK", "PYTHON"))
    }
    command = [
        sys.executable, *by, str(SRC / "imagenet.py"), f"hydra.run.dir={run}", "stages=[centers,evaluate]",
        "dataset.dir=dataset", f"classes.wnids=[{','.join(WNIDS)}]", "backbone=timm", "backbone.name=test_resnet",
        "backbone.pretrained=false", "backbone.device=cpu", "backbone.batch_size=8",
        "evaluate.bootstrap=20", *arguments,
    ]  # fmt: skip
    return subprocess.Popen(
        command, cwd=place, env=clean | variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=200)
    return process.returncode, said


@pytest.fixture(scope="module")
def alone(place: Path) -> Path:
    code, said = ended(start(place, "alone", "centers.cache_embeddings=never"))
    assert code == 0, said
    return place / "alone"


@pytest.mark.parametrize("keep", ["never", "auto"])
def test_two_ranks_give_what_one_process_gives_and_one_of_them_writes(place: Path, alone: Path, keep: str) -> None:
    before = {path.name for path in place.iterdir()}
    code, said = ended(start(place, keep, f"centers.cache_embeddings={keep}", by=RANKS))
    assert code == 0, said
    assert "150 images in" in said
    assert "(2 ranks)" in said
    assert said.count("random:0 weights") == 1
    ours, theirs = load_centers(place / keep), load_centers(alone)
    for name in ("centers", "spread"):
        a, b = getattr(ours, name), getattr(theirs, name)
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6 * np.abs(b).max())
    assert ours.counts.tolist() == theirs.counts.tolist() == [50, 49, 50]
    metrics = [json.loads((run / "metrics.json").read_text()) for run in (place / keep, alone)]
    assert metrics[0] == metrics[1]
    assert [fault["path"] for fault in metrics[0]["skipped"]] == [f"dataset/images/{WNIDS[1]}/7.jpg"]
    assert {path.name for path in place.iterdir()} - before == {keep}, "no folder of another rank"
    assert said.count("nearest class mean, top-1") == 1


def test_an_error_on_another_rank_is_said_once_and_ends_all(place: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(OTHER_WEIGHTS)
    code, said = ended(start(place, "error", "centers.cache_embeddings=never", by=RANKS, PYTHONPATH=str(tmp_path)))
    assert code == 1
    assert said.count("the weights of test_resnet here (random:0) are not those of the driver") == 1
    assert json.loads((place / "error" / "outcome.json").read_text())["exit_code"] == 1


def test_a_rank_that_is_killed_ends_all_with_a_line(place: Path) -> None:
    with start(place, "killed", "centers.cache_embeddings=never", "evaluate.random_splits=100", by=RANKS) as run:
        log, until = place / "killed" / "imagenet.log", time.monotonic() + 100
        while not (log.is_file() and "(2 ranks)" in log.read_text()) and time.monotonic() < until:
            time.sleep(0.1)
        (other,) = [pid for pid in children(run.pid) if environment(pid).get("RANK") == "1"]
        os.kill(other, signal.SIGKILL)
        code, said = ended(run)
    assert code == 1
    assert said.count("Traceback") <= 1, "torchrun's own"
    assert not any(alive(pid) for pid in [other])


@pytest.mark.parametrize("stages", ["[centers]", "[collect]"])
def test_ranks_and_other_workers_do_not_go_together(place: Path, stages: str) -> None:
    code, said = ended(start(place, "both", f"stages={stages}", "source=demo", "engine.processes=2", by=RANKS))
    assert code == 1
    assert said.count("torchrun shares the work among its ranks: leave engine= and engine.processes= out") == 1


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def environment(pid: int) -> dict[str, str]:
    variables = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(variable.partition("=")[::2] for variable in variables if "=" in variable)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
