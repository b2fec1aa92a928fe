"""What every engine promises."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from engine import tasks
from imagenet_nk.engine.contract import Engine
from imagenet_nk.errors import EmptyClassError, EngineError


class CountedShards(Sequence[str]):
    """Shards that note when one is taken out."""

    def __init__(self, shards: list[str]) -> None:
        self._shards = shards
        self.taken: list[int] = []

    def __len__(self) -> int:
        return len(self._shards)

    def __getitem__(self, number: int) -> str:  # type: ignore[override]
        self.taken.append(number)
        return self._shards[number]


class EngineContract:
    """For engines that run tasks in other processes; a subclass has a fixture `engine`."""

    @pytest.fixture
    def engine(self) -> Engine:
        raise NotImplementedError

    def test_each_shard_is_run_once(self, engine: Engine) -> None:
        assert sorted(engine.map(tasks.double, range(7), workers=2)) == [(n, 2 * n) for n in range(7)]
        assert list(engine.map(tasks.double, [], workers=2)) == []

    def test_reports_come_in_order_before_the_result(self, engine: Engine) -> None:
        seen: list[tuple[str, int, Any]] = []
        results = engine.map(
            tasks.report, [10, 20, 30], workers=2, on_report=lambda *report: seen.append(("report", *report))
        )
        for number, process in results:
            seen.append(("end", number, None))
            assert process != os.getpid()
        for number, shard in enumerate([10, 20, 30]):
            own = [what for what in seen if what[1] == number]
            assert own == [*(("report", number, (shard, count)) for count in range(3)), ("end", number, None)]

    def test_shard_of_a_dead_worker_is_retried(self, engine: Engine, tmp_path: Path) -> None:
        reports: list[Any] = []
        shards = CountedShards([str(tmp_path / "mark")])
        results = list(
            engine.map(tasks.die_once, shards, workers=2, on_report=lambda _, report: reports.append(report))
        )
        assert results == [(0, "second try")]
        assert shards.taken == [0, 0]
        assert reports == ["begun", "begun"]

    def test_shard_that_kills_three_workers_is_an_engine_error(self, engine: Engine) -> None:
        with pytest.raises(EngineError, match="3 workers died one after the other"):
            list(engine.map(tasks.die_always, [None, None], workers=2))

    def test_project_error_of_a_task_keeps_type_and_message(self, engine: Engine) -> None:
        with pytest.raises(EmptyClassError, match=r"^1 classes have no image: n01440764; collect them"):
            list(engine.map(tasks.no_images, [None, None], workers=2))

    def test_other_error_of_a_task_is_a_runtime_error(self, engine: Engine) -> None:
        with pytest.raises(RuntimeError, match="ZeroDivisionError: one over nothing") as caught:
            list(engine.map(tasks.faulty, [None, None], workers=2))
        assert "in faulty" in caught.value.__notes__[0]

    def test_error_in_the_driver_ends_all_tasks(self, engine: Engine) -> None:
        reports: list[Any] = []

        def tick() -> None:
            if len(reports) > 10:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            list(engine.map(tasks.for_ever, [None, None], workers=2, on_report=lambda *r: reports.append(r), tick=tick))
        assert list(engine.map(tasks.double, [4], workers=2)) == [(0, 8)]
