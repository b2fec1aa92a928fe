"""What every engine promises."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engine import tasks
from imagenet_nk.engine.contract import Engine
from imagenet_nk.errors import EmptyClassError, EngineError


@dataclass
class Echo:
    """A desk that answers with what it was told."""

    calls: list[tuple[str, Any]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    def exchange(self, worker: str, report: Any) -> Any:
        self.calls.append((worker, report))
        return "heard", report

    def lost(self, worker: str) -> None:
        self.gone.append(worker)


class EngineContract:
    """For engines that run tasks in other processes; a subclass has a fixture `engine`."""

    @pytest.fixture
    def engine(self) -> Engine:
        raise NotImplementedError

    def test_every_shard_is_done_once(self, engine: Engine) -> None:
        assert sorted(engine.map(tasks.double, range(7), workers=2)) == [(n, 2 * n) for n in range(7)]
        assert list(engine.map(tasks.double, [], workers=2)) == []

    def test_a_task_talks_to_the_desk(self, engine: Engine) -> None:
        desk = Echo()
        results = dict(engine.map(tasks.talk, [10, 20, 30], workers=2, desk=desk))
        assert results.keys() == {0, 1, 2}
        for number, (answers, process) in results.items():
            assert answers == [("heard", ((number + 1) * 10, n)) for n in range(3)]
            assert process != os.getpid()
        assert len(desk.calls) == 9
        assert len({worker for worker, _ in desk.calls}) == 3
        assert desk.gone == []

    def test_a_shard_whose_worker_dies_is_tried_anew(self, engine: Engine, tmp_path: Path) -> None:
        desk = Echo()
        assert list(engine.map(tasks.die_once, [str(tmp_path / "mark")], workers=2, desk=desk)) == [(0, "second try")]
        first, second = [worker for worker, _ in desk.calls]
        assert first != second
        assert desk.gone == [first]

    def test_not_for_ever(self, engine: Engine) -> None:
        with pytest.raises(EngineError, match="3 workers died one after the other"):
            list(engine.map(tasks.die_always, [None, None], workers=2))

    def test_an_error_of_ours_keeps_its_kind_and_its_line(self, engine: Engine) -> None:
        with pytest.raises(EmptyClassError, match=r"^1 classes have no image: n01440764; collect them"):
            list(engine.map(tasks.no_images, [None, None], workers=2))

    def test_a_fault_of_the_program_is_no_error_of_the_user(self, engine: Engine) -> None:
        with pytest.raises(RuntimeError, match="ZeroDivisionError: one over nothing") as caught:
            list(engine.map(tasks.faulty, [None, None], workers=2))
        assert "in faulty" in caught.value.__notes__[0]

    def test_what_the_driver_raises_ends_all_tasks(self, engine: Engine) -> None:
        desk = Echo()

        def tick() -> None:
            if len(desk.calls) > 10:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            list(engine.map(tasks.for_ever, [None, None], workers=2, desk=desk, tick=tick))
        assert list(engine.map(tasks.double, [4], workers=2)) == [(0, 8)]
