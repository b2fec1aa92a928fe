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
from engine import tasks
from imagenet_nk.engine.local import Local

if __name__ == "__main__":
    for module in {modules}:
        Local(2).get_ready(module, 0)
    print(list(Local(2).map(tasks.loaded, ["imagenet_nk.collect.worker"] * 2, workers=2)))
"""


@pytest.mark.parametrize(("modules", "ready"), [([], False), (["imagenet_nk.collect.worker"], True)])
@pytest.mark.skipif(sys.platform != "linux", reason="workers are spawned elsewhere")
def test_workers_have_what_was_got_ready(tmp_path: Path, modules: list[str], ready: bool) -> None:
    assert said(tmp_path, modules) == f"[(0, {ready}), (1, {ready})]"


def test_a_tmpdir_in_which_no_socket_has_room(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    assert said(tmp_path, ["imagenet_nk.collect.worker"], TMPDIR=str(folder)) == "[(0, False), (1, False)]"


def said(folder: Path, modules: list[str], **variables: str) -> str:
    """What a program of its own prints; workers end in any order, but say the same."""
    (folder / "program.py").write_text(SCRIPT.format(modules=modules))
    tests = Path(__file__).resolve().parents[1]
    env = os.environ | {"PYTHONPATH": f"{tests}{os.pathsep}{tests.parent / 'src'}"} | variables
    ran = subprocess.run([sys.executable, "program.py"], cwd=folder, env=env, capture_output=True, text=True)
    assert ran.stderr == ""
    return str(sorted(ast.literal_eval(ran.stdout)))
