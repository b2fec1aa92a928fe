"""What crosses classes comes out the same, whichever workers have them, whoever dies, whenever it is known."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from collect import pictures
from collect.threads import Threads
from imagenet_nk.classes import LabelMap
from imagenet_nk.classes.table import ClassTable
from imagenet_nk.collect import stage
from imagenet_nk.collect.job import Job
from imagenet_nk.config import CrossClassDuplicates, HttpConfig, InspectConfig, Materialize, Retry
from imagenet_nk.dataset.dataset import DataSet
from imagenet_nk.engine.contract import Coordinator
from imagenet_nk.engine.local import Local
from imagenet_nk.sampling.draw_order import EvalOnly, RandomOrder
from imagenet_nk.sources.contract import (
    BlockingCall,
    Candidate,
    CostModel,
    FetchedImage,
    ReadSteps,
    Rejected,
    SourceContext,
)

WNIDS = tuple(f"n{number:08}" for number in range(12))
BODIES = [pictures.jpeg(n) for n in range(90)]
TWINS = [body[:2] + b"\xff\xfe\0\x05one" + body[2:] for body in BODIES]  # other bytes, the same pixels


@dataclass
class Deck:
    """A source in memory: each class has a seeded hand of few pictures, so that many stand in several classes."""

    seed: int
    name: str = "deck"
    rank: int = 0
    materialize = Materialize.copy
    terms = "none"
    one_place = False
    usual = CostModel(1.0)

    @property
    def identity(self) -> str:
        return f"{self.name}:{self.seed}"

    def open(self, wnids: Sequence[str], site: SourceContext) -> None:
        self._slow = random.Random()

    def hand(self, wnid: str) -> list[int]:
        generator = random.Random(f"{self.seed} {self.name} {wnid}")
        return [generator.choice([-1, -1, *range(70), *range(90, 160)]) for _ in range(generator.randrange(4, 14))]

    def candidates(self, wnid: str) -> Iterator[Candidate]:
        for number, _ in enumerate(self.hand(wnid)):
            yield Candidate(str(number), wnid, f"deck://{self.name}/{wnid}/{number}")

    def read(self, candidate: Candidate) -> ReadSteps:
        card = self.hand(candidate.wnid)[int(candidate.key)]
        yield BlockingCall(lambda: time.sleep(self._slow.random() * 0.003))
        if card < 0:
            return Rejected("missing")
        data = (BODIES + TWINS)[card]
        return FetchedImage(f"{candidate.wnid}_{self.name}_{candidate.key}", data)

    def close(self) -> None:
        pass


def collected(folder: Path, seed: int, engine: Any) -> dict[str, list[tuple[str, str]]]:
    """(key, verdict) of every candidate of each class that was reached."""
    job = Job(
        source=Deck(seed),
        fallback=Deck(seed, "more"),
        sampling=RandomOrder(0),
        split=EvalOnly(),
        label_map=LabelMap.build({wnid: n for n, wnid in enumerate(WNIDS)}, ClassTable("test", WNIDS), "test"),
        nk=4,
        folder=folder,
        http=HttpConfig(concurrency=8),
        inspect=InspectConfig(placeholder_repeats=4, cross_class_duplicates=CrossClassDuplicates.drop),
        retry=Retry.none,
        fingerprint="test",
        engine=engine,
    )
    stage.collect(job)
    dataset = DataSet(folder)
    try:
        found = {
            wnid: [(f"{r['source']} {r['key']}", r["verdict"]) for r in dataset.ledger.settled(wnid)] for wnid in WNIDS
        }
    finally:
        dataset.close()
    return {wnid: [row for row in rows if row[1] != "unreached"] for wnid, rows in found.items()}


@pytest.mark.parametrize("seed", range(3))
def test_any_number_of_workers_comes_to_the_same_end(tmp_path: Path, seed: int) -> None:
    one = collected(tmp_path / "one", seed, Local(1))
    verdicts = {verdict for rows in one.values() for _, verdict in rows}
    assert {"kept", "placeholder", "shared", "missing"} <= verdicts
    assert any(key.startswith("more") for rows in one.values() for key, _ in rows)
    for count in (1, 5):
        assert collected(tmp_path / str(count), seed, Threads(count)) == one, count


@pytest.mark.parametrize("seed", range(3, 6))
def test_workers_that_die_change_nothing(tmp_path: Path, seed: int) -> None:
    one = collected(tmp_path / "one", seed, Local(1))
    assert collected(tmp_path / "three", seed, Threads(3, deaths=[1, 3, 2])) == one


def test_a_run_that_lost_its_driver_goes_on_over_workers(tmp_path: Path) -> None:
    one = collected(tmp_path / "one", 3, Local(1))
    with suppress(RuntimeError):
        collected(tmp_path / "two", 3, _Failing(2))
    assert collected(tmp_path / "two", 3, Threads(3)) == one


class _Failing(Threads):
    """An engine that breaks off in the middle."""

    def map(self, *args: Any, desk: Any, **options: Any) -> Iterator[tuple[int, Any]]:
        yield from super().map(*args, desk=_Broken(desk), **options)


class _Broken:
    def __init__(self, desk: Coordinator) -> None:
        self._desk, self._calls = desk, 0

    def exchange(self, worker: str, report: Any) -> Any:
        self._calls += 1
        if self._calls > 6:
            raise RuntimeError("the driver dies")
        return self._desk.exchange(worker, report)

    def lost(self, worker: str) -> None:
        self._desk.lost(worker)
