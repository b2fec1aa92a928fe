"""Sweeps through Hydra's launchers for clusters: real processes, one data set, a loopback web that counts."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from collect.pictures import jpeg
from imagenet_nk import load_centers
from sources.web import Answer, web

SRC = Path(__file__).resolve().parents[2] / "src"
WNIDS = ("n01440764", "n01443537")
MODELS = ("test_resnet", "test_vit", "test_convnext", "test_efficientnet")
WAITS = re.compile(r"dataset is in use by another run \(process (\d+) on (\S+), since .+\): waiting for it")


def environment() -> dict[str, str]:
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("HYDRA", "IMAGENET_NK", "PYTHON"))
    }


def command(program: list[str], launcher: str, *arguments: str) -> list[str]:
    """A sweep in the current folder, over the address list list.txt."""
    return [
        sys.executable, *program, "-m", f"hydra/launcher={launcher}", "hydra.sweep.dir=sweep", "dataset.dir=dataset",
        "source=urls", "source.list=list.txt", "source@fallback=none", "http.allow_private=true", "nk=2",
        f"classes.wnids=[{','.join(WNIDS)}]", "backbone=timm", "backbone.pretrained=false",
        "backbone.device=cpu", "stages=[collect,lists,centers]", *arguments,
    ]  # fmt: skip


def logs(folder: Path) -> dict[int, str]:
    return {int(file.parent.name): file.read_text() for file in folder.glob("sweep/*/imagenet.log")}


def outcome(folder: Path, job: int) -> dict[str, object]:
    return json.loads((folder / "sweep" / str(job) / "outcome.json").read_text())


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep" / "comparison.csv").open() as file:
        return list(csv.DictReader(file))


@dataclass
class Swept:
    folder: Path
    code: int
    said: str
    asked: Counter[str]


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swept]:
    """Four joblib jobs at once on an empty data set; the web answers once three of them say that they wait."""
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="pip install 'imagenet-nk[cluster]'")
    folder = tmp_path_factory.mktemp("joblib")
    three_wait = threading.Event()
    with web() as site:
        lines = []
        for wnid in WNIDS:
            for number in range(3):
                name = f"{wnid}_{number}"

                def page(*_: object, name: str = name) -> Answer:
                    three_wait.wait(100)
                    return Answer(200, jpeg(name))

                lines.append(f"{name}\t{site.put(f'/{name}.jpg', page)}\n")
        (folder / "list.txt").write_text("".join(lines))
        arguments = (
            f"backbone.name={','.join(MODELS)}",
            "hydra.launcher.n_jobs=4",
            "http.deadline=200",
            "http.first_byte_timeout=200",
        )
        with subprocess.Popen(
            command([str(SRC / "imagenet.py")], "joblib", *arguments),
            cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as sweep:  # fmt: skip
            until = time.monotonic() + 100
            while sum(bool(WAITS.search(log)) for log in logs(folder).values()) < 3 and time.monotonic() < until:
                time.sleep(0.1)
            three_wait.set()
            said, _ = sweep.communicate(timeout=200)
        yield Swept(folder, sweep.returncode, said, Counter(asked.path for asked in site.asked))


def test_first_of_four_jobs_collects_and_the_others_wait_for_it(four: Swept) -> None:
    assert four.code == 0, four.said
    assert [outcome(four.folder, job) for job in range(4)] == [{"exit_code": 0, "reason": ""}] * 4
    waited = {job: WAITS.search(log) for job, log in logs(four.folder).items()}
    assert sorted(map(bool, waited.values())) == [False, True, True, True]
    assert len({found[1] for found in waited.values() if found}) == 1, "all wait for the one that collects"
    assert not list((four.folder / "dataset").rglob("*.holder"))


def test_parallel_jobs_request_each_image_once(four: Swept) -> None:
    images = {path: count for path, count in four.asked.items() if path != "/robots.txt"}  # asked when all is slow
    assert set(images.values()) == {1}
    assert len(images) >= len(WNIDS) * 2


def test_parallel_jobs_write_separate_outputs(four: Swept) -> None:
    for job, model in enumerate(MODELS):
        centers = load_centers(four.folder / "sweep" / str(job))
        assert (centers.metadata["backbone"], centers.counts.tolist()) == (model, [2, 2])
        named = set(re.findall(r"test_\w+", logs(four.folder)[job]))
        assert named == {model}
    assert {(row["job"], row["backbone"]) for row in table(four.folder)} == {(str(j), m) for j, m in enumerate(MODELS)}


def test_submitit_sweep_exits_with_the_worst_code_of_its_jobs(tmp_path: Path) -> None:
    """As the console script starts it: the jobs import the entry point by its name."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="pip install 'imagenet-nk[cluster]'")
    with web() as site:
        lines = [f"{w}_{n}\t{site.put(f'/{w}_{n}.jpg', jpeg((w, n)))}\n" for w in WNIDS for n in range(2)]
        (tmp_path / "list.txt").write_text("".join(lines))
        ended = subprocess.run(
            command(
                ["-c", "import sys; sys.argv[0] = 'imagenet-nk'; from imagenet_nk.app.main import run; run()"],
                "submitit_local",
                "backbone.name=test_resnet,no_such_model", "hydra.launcher.timeout_min=5",
            ),
            cwd=tmp_path, env=environment() | {"PYTHONPATH": str(SRC)}, capture_output=True, text=True, timeout=200,
        )  # fmt: skip
    assert ended.returncode == 1, ended.stderr
    assert outcome(tmp_path, 0)["exit_code"] == 0
    assert "timm has no model 'no_such_model'" in str(outcome(tmp_path, 1)["reason"])
    assert [row["exit_code"] for row in table(tmp_path)] == ["0", "1"]
    assert "Traceback" not in ended.stderr
