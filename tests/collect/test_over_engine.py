"""Collecting over processes comes out as in one, however they share the work, and whoever dies meanwhile."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collect.city import BUSY, PER_HOST, City, city
from imagenet_nk.collect.collector import Progress
from imagenet_nk.engine.local import Local

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[City]:
    with city(tmp_path) as one:
        yield one


def test_two_processes_keep_what_one_keeps(town: City) -> None:
    summary = town.run("one", Local(1))
    assert summary.kept == 54
    assert {"placeholder", "shared", "refused", "http_404"} <= summary.reasons.keys()
    town.most.clear()
    assert town.run("two", Local(2)) == summary
    assert town.outcome("two") == town.outcome("one")
    assert town.most[BUSY] == PER_HOST
    assert max(town.most.values()) == PER_HOST


def test_a_worker_that_is_killed_costs_no_image_but_those_in_its_hands(town: City) -> None:
    town.run("one", Local(1))
    town.server.clear()
    killed = []

    def watch(progress: Progress) -> None:
        if progress.images > 20 and not killed:
            killed.append(multiprocessing.active_children()[0])
            killed[0].kill()

    town.run("two", Local(2), watch=watch)
    assert killed
    assert town.outcome("two") == town.outcome("one")
    assert max(town.images_asked().values()) <= 2 + 2  # and two pauses


def test_the_driver_is_killed_and_the_same_command_goes_on(town: City) -> None:
    town.run("one", Local(1))
    town.seconds = 0.05
    town.server.clear()
    command = [sys.executable, str(ROOT / "src/imagenet.py"), *town.overrides("two", "engine.processes=2")]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_for(town, 40)
    workers = [int(pid) for pid in Path(f"/proc/{driver.pid}/task/{driver.pid}/children").read_text().split()]
    assert len(workers) >= 2
    driver.kill()
    driver.communicate()
    until = time.monotonic() + 20
    while not all(ended(pid) for pid in workers):
        assert time.monotonic() < until, "workers outlive their driver"
        time.sleep(0.05)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert town.outcome("two") == town.outcome("one")
    assert max(town.images_asked().values()) <= 2 + 2


def test_ctrl_c_settles_what_was_begun(town: City) -> None:
    town.seconds = 0.05
    command = [sys.executable, str(ROOT / "src/imagenet.py"), *town.overrides("two", "engine.processes=2")]
    driver = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_for(town, 40)
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does it: the workers are told as well
    _, errors = driver.communicate(timeout=60)
    assert driver.returncode == 130
    assert "Traceback" not in errors
    assert errors.strip().splitlines()[-1].startswith("stopped")
    manifest = (town.folder / "two" / "manifest.csv").read_text().splitlines()
    assert len(manifest) > 1


def ended(pid: int) -> bool:
    """Whether there is nothing of a process but its entry, or not even that."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except OSError:
        return True


def wait_for(town: City, requests: int) -> None:
    until = time.monotonic() + 60
    while sum(town.server.counts().values()) < requests:
        assert time.monotonic() < until, "the run asks nothing"
        time.sleep(0.01)
