"""The whole job onto an S3 server, as a user types it."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import program
from buckets import BUCKET, server
from imagenet_nk.storage import files
from program import Program

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["source=demo", "nk=3", "classes.limit=4", "hydra/job_logging=imagenet"]
BACKBONE = ["backbone=timm", "backbone.name=resnet10t", "backbone.pretrained=false", "backbone.device=cpu"]


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    with server() as environment:
        yield environment


def run(s3: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return program.run(*SMALL, *words, env=os.environ | s3, cwd=ROOT)


def folder(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch, name: str) -> Path:
    for key, value in s3.items():
        monkeypatch.setenv(key, value)
    return files.resolve(f"s3://{BUCKET}/{name}")


def manifest(path: Path) -> list[dict[str, str]]:
    with path.open("r", encoding="utf-8", newline="") as file:
        return [{**row, "fetched_at": ""} for row in csv.DictReader(file)]


def images(place: Path) -> dict[str, bytes]:
    return {row["path"]: (place / row["path"]).read_bytes() for row in manifest(place / "manifest.csv")}


def test_all_stages_give_the_result_of_a_local_folder(
    s3: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, there = f"s3://{BUCKET}/whole", folder(s3, monkeypatch, "whole")
    on_disk = run(s3, f"dataset.dir={tmp_path / 'set'}", f"hydra.run.dir={tmp_path / 'a'}", *BACKBONE)
    behind = run(
        s3, f"dataset.dir={url}", f"dataset.state_dir={tmp_path / 'home'}", f"hydra.run.dir={tmp_path / 'b'}", *BACKBONE
    )
    assert on_disk.returncode == 0, on_disk.stderr
    assert behind.returncode == 0, behind.stderr
    for name in ("eval.txt", "classes.csv", "TERMS.txt"):
        assert (there / name).read_bytes() == (tmp_path / "set" / name).read_bytes()
    assert manifest(there / "manifest.csv") == manifest(tmp_path / "set" / "manifest.csv")
    assert images(there) == images(tmp_path / "set")
    assert not any((tmp_path / "home").glob("images*"))
    assert top1(tmp_path / "b") == top1(tmp_path / "a")
    assert len(list((tmp_path / "b" / "report" / "thumbnails").glob("n*.jpg"))) == 4
    again = run(
        s3, f"dataset.dir={url}", f"dataset.state_dir={tmp_path / 'home'}", f"hydra.run.dir={tmp_path / 'c'}", *BACKBONE
    )
    assert again.returncode == 0, again.stderr
    assert "is complete: 12 images" in again.stderr
    assert "images/s" not in again.stderr  # every embedding is there from before


def top1(output: Path) -> str:
    return (output / "metrics.json").read_text().partition('"per_class"')[0]


def test_killed_run_continues(s3: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = folder(s3, monkeypatch, "killed")
    words = ["nk=8", "stages=[collect,lists]", f"dataset.dir={there}", f"dataset.state_dir={tmp_path / 'home'}"]
    with Program(*SMALL, *words, f"hydra.run.dir={tmp_path / 'a'}", env=os.environ | s3, cwd=ROOT) as first:
        until = time.monotonic() + 100
        while len(there.fs.find(f"{BUCKET}/killed/images")) < 5 and time.monotonic() < until:  # type: ignore[attr-defined]
            time.sleep(0.05)
        first.kill()
    assert first.returncode == -signal.SIGKILL
    ended = run(s3, *words, f"hydra.run.dir={tmp_path / 'b'}")
    assert ended.returncode == 0, ended.stderr
    on_disk = run(
        s3, "nk=8", "stages=[collect,lists]", f"dataset.dir={tmp_path / 'set'}", f"hydra.run.dir={tmp_path / 'c'}"
    )
    assert on_disk.returncode == 0, on_disk.stderr
    assert (there / "eval.txt").read_bytes() == (tmp_path / "set" / "eval.txt").read_bytes()
    assert images(there) == images(tmp_path / "set")
    kept = Counter(row["path"] for row in manifest(there / "manifest.csv"))
    assert {f"{BUCKET}/killed/{path}" for path in kept} == set(
        there.fs.find(f"{BUCKET}/killed/images")  # type: ignore[attr-defined]
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["dataset.dir=s3://nowhere/set"], "make the bucket, or choose another dataset.dir"),
        (["dataset.dir=gopher://host/set"], "there is no protocol 'gopher'"),
        (["source=full", "source.root=.", f"dataset.dir=s3://{BUCKET}/links"], "type source.materialize=copy"),
    ],
)
def test_user_errors_are_one_line(s3: dict[str, str], tmp_path: Path, words: list[str], says: str) -> None:
    words = [*words, f"dataset.state_dir={tmp_path / 'home'}", f"hydra.run.dir={tmp_path}", "stages=[collect]"]
    ended = run(s3, *words)
    assert ended.returncode == 1
    assert says in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "home").exists()


def test_missing_credentials_are_one_line(s3: dict[str, str], tmp_path: Path) -> None:
    without = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SHARED_CREDENTIALS_FILE": "/none"}
    words = [f"dataset.dir=s3://{BUCKET}/keys", f"dataset.state_dir={tmp_path / 'home'}", f"hydra.run.dir={tmp_path}"]
    ended = run(s3 | without, *words, "stages=[collect]")
    assert ended.returncode == 1
    assert "no credentials for s3://" in ended.stderr.splitlines()[-1]
    assert not (tmp_path / "home").exists()


def test_unreachable_server_is_one_line(s3: dict[str, str], tmp_path: Path) -> None:
    words = [f"dataset.dir=s3://{BUCKET}/gone", f"dataset.state_dir={tmp_path / 'home'}", f"hydra.run.dir={tmp_path}"]
    ended = run(s3 | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}, *words, "stages=[collect]")
    assert ended.returncode == 1
    assert "is out of reach" in ended.stderr.splitlines()[-1]
    assert not (tmp_path / "home").exists()


@pytest.fixture
def strict(s3: dict[str, str]) -> Iterator[dict[str, str]]:
    """The same server, which now looks at the keys and knows none of them."""

    def look_after(requests: str) -> None:
        address, plain = f"{s3['AWS_ENDPOINT_URL']}/moto-api/reset-auth", {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(address, requests.encode(), plain)).close()

    look_after("0")
    yield s3
    look_after("inf")


def test_read_only_credentials_are_one_line(strict: dict[str, str], tmp_path: Path) -> None:
    words = [f"dataset.dir=s3://{BUCKET}/set", f"dataset.state_dir={tmp_path / 'home'}", f"hydra.run.dir={tmp_path}"]
    ended = run(strict, *words, "stages=[collect]")
    assert ended.returncode == 1
    assert "check credentials and policy" in ended.stderr.splitlines()[-1]
    assert not (tmp_path / "home").exists()


def test_engine_workers_write_to_the_bucket(
    s3: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = folder(s3, monkeypatch, "workers")
    words = ["nk=6", "stages=[collect,lists]"]
    behind = run(
        s3, *words, "engine.processes=2", f"dataset.dir={there}", f"dataset.state_dir={tmp_path / 'home'}",
        f"hydra.run.dir={tmp_path / 'a'}",
    )  # fmt: skip
    assert behind.returncode == 0, behind.stderr
    on_disk = run(s3, *words, f"dataset.dir={tmp_path / 'set'}", f"hydra.run.dir={tmp_path / 'b'}")
    assert on_disk.returncode == 0, on_disk.stderr
    assert (there / "eval.txt").read_bytes() == (tmp_path / "set" / "eval.txt").read_bytes()
    assert manifest(there / "manifest.csv") == manifest(tmp_path / "set" / "manifest.csv")
    assert images(there) == images(tmp_path / "set")
