"""engine=local."""

from __future__ import annotations

import os

import pytest

from engine import tasks
from engine.contract import Echo, EngineContract
from imagenet_nk.engine.base import Engine
from imagenet_nk.engine.local import Local


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
    assert Local().workers(10**6) == os.cpu_count()
    assert Local(3).workers(1) == 3
