"""engine=local."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from engine import tasks
from engine.contract import EngineContract
from imagenet_nk.engine.contract import Engine
from imagenet_nk.engine.cpu_count import cores
from imagenet_nk.engine.local import Local


class TestProcesses(EngineContract):
    @pytest.fixture
    def engine(self) -> Engine:
        return Local(2)


def test_one_worker_runs_in_this_process() -> None:
    reports, ticks = [], []
    results = Local(1).map(
        tasks.report, [1, 2], workers=1, on_report=lambda *report: reports.append(report), tick=lambda: ticks.append(1)
    )
    assert {process for _, process in results} == {os.getpid()}
    assert len(reports) == 6
    assert len(ticks) >= 6


def test_default_is_one_process_for_few_images() -> None:
    assert Local().workers(100) == 1
    assert Local().workers(10**6) == min(cores(), 4)
    assert Local(3).workers(1) == 3


SCRIPT = """
import glob, os, signal, tempfile, threading, time
from multiprocessing import forkserver
from engine import tasks
from imagenet_nk.engine.local import Local

if __name__ == "__main__":
    {before}
    print(sorted(Local(2).map(tasks.loaded, [{asked!r}] * 2, workers=2)))
"""
WORKER = "imagenet_nk.collect.distributed.worker"
GET_READY = f"Local(2).preload({WORKER!r}, 0); "
PID = "forkserver._forkserver._forkserver_pid"
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="workers are spawned elsewhere")


@on_linux
@pytest.mark.parametrize(("before", "ready"), [("pass", False), (GET_READY, True)])
def test_workers_have_preloaded_modules(tmp_path: Path, before: str, ready: bool) -> None:
    assert said(tmp_path, before) == [(0, ready), (1, ready)]


@on_linux
def test_ctrl_c_during_preload_reaches_only_the_driver(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time; time.sleep(2)")
    before = (
        "Local(2).preload('slow', 0); signal.signal(signal.SIGINT, lambda *_: None); time.sleep(0.5); "
        "os.killpg(0, signal.SIGINT)"
    )
    assert said(tmp_path, before, asked="slow") == [(0, True), (1, True)]


@pytest.mark.parametrize(
    "before",
    [
        GET_READY + "[os.unlink(path) for path in glob.glob(tempfile.gettempdir() + '/pymp-*/*')]",
        GET_READY + f"os.kill({PID}, signal.SIGKILL)",
        GET_READY + f"os.kill({PID}, signal.SIGSTOP); threading.Timer(1, os.kill, ({PID}, signal.SIGKILL)).start()",
    ],
    ids=["TMPDIR was tidied", "it was killed", "it is killed while it is waited for"],
)
@on_linux
def test_workers_start_after_the_fork_server_was_killed(tmp_path: Path, before: str) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # the name of a socket has at most 107 characters
        assert [number for number, _ in said(tmp_path, before, TMPDIR=short)] == [0, 1]


def test_workers_start_with_a_tmpdir_too_long_for_a_socket(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    assert said(tmp_path, GET_READY, TMPDIR=str(folder)) == [(0, False), (1, False)]


def test_nothing_is_imported_from_the_current_folder(tmp_path: Path) -> None:
    for name in ("json", "queue", "simplejpeg"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")
    assert [number for number, _ in said(tmp_path, GET_READY, findable="")] == [0, 1]


def test_workers_start_in_a_joblib_process(tmp_path: Path) -> None:
    before = "from joblib.externals.loky.backend.context import set_start_method; set_start_method('loky')"
    assert [number for number, _ in said(tmp_path, f"{before}; {GET_READY}")] == [0, 1]


def said(folder: Path, before: str, asked: str = WORKER, findable: str = ".", **variables: str) -> list[Any]:
    """What a program of its own in `folder` prints: whether the worker of each shard had a module from the start."""
    program = folder / "elsewhere" / "program.py"
    program.parent.mkdir()
    program.write_text(SCRIPT.format(before=before, asked=asked))
    tests = Path(__file__).resolve().parents[1]
    path = os.pathsep.join(map(str, filter(None, (tests, tests.parent / "src", findable))))
    ran = subprocess.run(
        [sys.executable, program], cwd=folder, env=os.environ | {"PYTHONPATH": path} | variables, capture_output=True,
        text=True, start_new_session=True,
    )  # fmt: skip
    assert ran.stderr == ""
    return list(ast.literal_eval(ran.stdout))
