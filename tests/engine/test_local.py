"""engine=local."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine import tasks
from engine.contract import Echo, EngineContract
from imagenet_nk.engine.base import Engine
from imagenet_nk.engine.local import Local
from imagenet_nk.machine import cores


class TestProcesses(EngineContract):
    @pytest.fixture
    def engine(self) -> Engine:
        return Local(2)


def test_one_worker_is_this_process() -> None:
    desk, ticks = Echo(), []
    results = Local(1).map(tasks.talk, [1, 2], workers=1, desk=desk, tick=lambda: ticks.append(1))
    assert {process for _, (_, process) in results} == {os.getpid()}
    assert len(desk.calls) == 6
    assert len(ticks) >= 6


def test_processes_are_worth_their_start_for_many_images_only() -> None:
    assert Local().workers(100) == 1
    assert Local().workers(10**6) == min(cores(), 4)
    assert Local(3).workers(1) == 3


SCRIPT = """
import os, signal, time
from engine import tasks
from imagenet_nk.engine.local import Local

if __name__ == "__main__":
    for module in {modules}:
        Local(2).get_ready(module, 0)
    if {interrupted}:
        signal.signal(signal.SIGINT, lambda *_: None)
        time.sleep(0.5)
        os.killpg(0, signal.SIGINT)
    print(list(Local(2).map(tasks.loaded, [{asked!r}] * 2, workers=2)))
"""
WORKER = "imagenet_nk.collect.worker"


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="workers are spawned elsewhere")


@on_linux
@pytest.mark.parametrize(("modules", "ready"), [([], False), ([WORKER], True)])
def test_workers_have_what_was_got_ready(tmp_path: Path, modules: list[str], ready: bool) -> None:
    assert said(tmp_path, modules) == [(0, ready), (1, ready)]


def test_a_tmpdir_in_which_no_socket_has_room(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    assert said(tmp_path, [WORKER], TMPDIR=str(folder)) == [(0, False), (1, False)]


@on_linux
def test_ctrl_c_while_it_is_got_ready_is_for_the_driver_alone(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time; time.sleep(2)")
    assert said(tmp_path, ["slow"], asked="slow", interrupted=True) == [(0, True), (1, True)]


def said(
    folder: Path, modules: list[str], asked: str = WORKER, *, interrupted: bool = False, **variables: str
) -> list[object]:
    """What a program of its own prints, in the order of its shards."""
    (folder / "program.py").write_text(SCRIPT.format(modules=modules, asked=asked, interrupted=interrupted))
    tests = Path(__file__).resolve().parents[1]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (folder, tests, tests.parent / "src")))} | variables
    ran = subprocess.run(
        [sys.executable, "program.py"], cwd=folder, env=env, capture_output=True, text=True, start_new_session=True
    )
    assert ran.stderr == ""
    return sorted(ast.literal_eval(ran.stdout))
