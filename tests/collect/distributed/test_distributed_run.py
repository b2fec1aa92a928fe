"""Collecting over processes comes out as in one, however they share the work, and whoever dies meanwhile."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

import program
from collect.city import PER_HOST, WNIDS, City, city, wait_for
from collect.hostile import answer
from collect.threads import Threads
from imagenet_nk import config
from imagenet_nk.collect.progress import Progress
from imagenet_nk.engine.local import Local
from imagenet_nk.errors import DatasetError, SourceError
from imagenet_nk.net import retry_policy
from program import Program

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[City]:
    with city(tmp_path) as one:
        yield one


def test_two_processes_keep_what_one_process_keeps(town: City) -> None:
    summary = town.run("one", Local(1))
    assert summary.kept == 54
    assert {"placeholder", "shared", "refused", "http_404"} <= summary.reasons.keys()
    town.most.clear()
    town.seconds = 0.03
    assert town.run("two", Local(2)) == summary
    assert town.outcome("two") == town.outcome("one")
    assert 1 < max(town.most.values()) <= PER_HOST, "the server's own count"


@pytest.mark.parametrize("workers", [2, 8])
def test_lists_are_equal_with_any_number_of_workers(town: City, workers: int) -> None:
    town.per_host = 8
    town.run("one", Local(1))
    town.run("many", Threads(workers))
    assert town.outcome("many") == town.outcome("one")


def test_completing_run_without_an_answer_reports_an_offline_machine(town: City) -> None:
    """The shards ask nobody, because all is settled; an image file has gone, and so has the network."""
    town.run("two", Threads(2))
    for image in (town.folder / "two" / "images" / WNIDS[0]).iterdir():
        image.unlink()
    town.server.go()
    with pytest.raises(SourceError, match=r"none of \d+ hosts answered .*is this machine connected"):
        town.run("two", Threads(2))


@pytest.mark.parametrize("processes", [1, 2])
def test_host_with_endless_retry_after_is_probed_once(
    town: City, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for each of its addresses: the others are rejected with it."""
    mine = [path for path in town.server.pages if path.startswith("/n01440764")]
    lines = (town.folder / "urls.txt").read_text().splitlines(keepends=True)
    there = [line for line in lines if "\thttp" in line and line.split("\t")[0].startswith("n01440764")]
    moved = [re.sub(r"//[^:]*", "//127.0.3.7", line) if line in there and ":9/" not in line else line for line in lines]
    (town.folder / "urls.txt").write_text("".join(moved))
    for path in mine:
        town.server.put(path, answer(b"", "429 Too Many Requests", "Retry-After: 99999"))
    monkeypatch.setattr(retry_policy, "MAX_PAUSE_S", 1.0)
    summary = town.run("set", Local(1) if processes == 1 else Threads(2))
    assert "n01440764" in summary.short
    assert summary.transient["http_429"] == len(mine)
    assert sum(town.images_asked()[path] for path in mine) <= PER_HOST + 1


def test_killed_worker_loses_only_requests_in_flight(town: City) -> None:
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


def test_killed_driver_continues_to_the_same_result(town: City) -> None:
    town.run("one", Local(1))
    town.seconds = 0.05
    town.server.clear()
    command = town.overrides("two", "engine.processes=2")
    driver = Program(*command)
    wait_for(town, 40)
    workers = [int(pid) for pid in Path(f"/proc/{driver.pid}/task/{driver.pid}/children").read_text().split()]
    assert len(workers) >= 2
    driver.kill()
    driver.communicate()
    until = time.monotonic() + 20
    while not all(ended(pid) for pid in workers):
        assert time.monotonic() < until, "workers outlive their driver"
        time.sleep(0.05)
    done = program.run(*command)
    assert done.returncode == 0, done.stderr
    assert town.outcome("two") == town.outcome("one")
    assert max(town.images_asked().values()) <= 2 + 2


def test_write_error_of_a_worker_is_one_line(town: City) -> None:
    images = town.folder / "two" / "images"
    images.mkdir(parents=True)
    (images / WNIDS[3]).write_text("no folder")
    with pytest.raises(DatasetError, match=r"two.*: ") as caught:
        town.run("two", Local(2))
    assert "\n" not in str(caught.value)


def test_offline_machine_settles_no_candidate(town: City) -> None:
    """Over processes as in one: nothing is settled by it."""
    (town.folder / "urls.txt").write_text("".join(f"{wnid}_1\thttp://127.0.3.9:9/{wnid}.jpg\n" for wnid in WNIDS))
    with pytest.raises(SourceError, match="none of 1 hosts answered"):
        town.run("two", Local(2))


def test_ctrl_c_writes_the_tables(town: City) -> None:
    town.seconds = 0.05
    driver = Program(*town.overrides("two", "engine.processes=2"), new_session=True)
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


@pytest.mark.parametrize("chosen", sorted(file.stem for file in (ROOT / "conf/source").glob("*.yaml")))
def test_every_source_can_be_sent_to_a_worker(chosen: str) -> None:
    """As it is made from the configuration, before it is open."""
    config.register()
    needs = {"full": ["source.root=/data"], "manifest": ["source.path=manifest.parquet"]}
    where = "source@fallback" if chosen == "none" else "source"
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("imagenet", [f"{where}={chosen}", *needs.get(chosen, [])])
    source = instantiate(cfg[where.rpartition("@")[2]])
    assert pickle.loads(pickle.dumps(source)).name == source.name == chosen  # noqa: S301 - our own
