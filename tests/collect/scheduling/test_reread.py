"""Members of a tar whose bytes come damaged under sound headers: once, always, or each time in another way."""

from __future__ import annotations

import io
import random
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from imagenet_nk.collect.scheduling.reread import DAMAGE
from imagenet_nk.collect.stage import collect
from imagenet_nk.engine.local import Local
from imagenet_nk.errors import ContradictionError
from imagenet_nk.sources.archive.source import Archive
from sources.tars import members, tar
from sources.test_remote_collected import WNIDS, job, kept
from sources.web import Answer, Asked, Web, ranged, web

WNID, OTHER = WNIDS[:2]  # of the other one all is well: it gives a second process something to do
DATA = tar(members(WNID, 10, side=60))


def bodies() -> list[tuple[int, int]]:
    """(first byte, byte behind the last) of the data of each member."""
    with tarfile.open(fileobj=io.BytesIO(DATA)) as archive:
        return [(member.offset_data, member.offset_data + member.size) for member in archive]


HOLES = {
    "whole": lambda first, end: (first, end),
    "end": lambda first, end: ((first + end) // 2, end),
    "middle": lambda first, end: (first + (end - first) // 3, end - (end - first) // 3),
}


class Tar:
    """One class's tar on a server that leaves zeros where some bytes should be, so many times for each hole."""

    def __init__(self, server: Web, *, ranges: bool) -> None:
        self._ranges = ranges
        self.holes: list[tuple[int, int]] = []
        self.times = 1
        self.made: dict[tuple[int, int], int] = {}
        self.filling: Callable[[int], bytes] = bytes
        self.sent = 0
        server.put(f"/{WNID}.tar", self._answer)
        server.put(f"/{OTHER}.tar", tar(members(OTHER, 10, side=60)))
        self.template = server.base + "/{wnid}.tar"

    def _answer(self, asked: Asked, _: dict[str, str]) -> Answer:
        data = bytearray(DATA)
        if not self._ranges:
            first, last = 0, len(DATA) - 1
        else:
            first, last = asked.first or 0, len(DATA) - 1 if asked.last is None else asked.last
        for hole in self.holes:
            if first < hole[1] and hole[0] <= last and self.made.get(hole, 0) < self.times:
                self.made[hole] = self.made.get(hole, 0) + 1
                data[slice(*hole)] = self.filling(hole[1] - hole[0])
        self.sent += 1
        return ranged(bytes(data), asked) if self._ranges else Answer(200, bytes(data))


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as site:
        yield site


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("hole", HOLES)
@pytest.mark.parametrize("processes", [1, 2])
def test_a_hole_that_is_not_there_when_read_again_is_held_against_no_member(
    tmp_path: Path, server: Web, hole: str, ranges: bool, processes: int
) -> None:
    page = Tar(server, ranges=ranges)
    one = job(tmp_path / "undisturbed", Archive(synset=page.template), nk=6, wnids=[WNID, OTHER])
    collect(one)
    page.holes = [HOLES[hole](*body) for body in bodies()]
    page.times = 1 if ranges else 2  # whole files come for the first time when the server is asked for a range
    other = replace(one, folder=tmp_path / "set", engine=Local(processes))
    assert DAMAGE.isdisjoint(collect(other).reasons)
    assert page.made, "nothing was tried"
    assert list(kept(tmp_path / "set").sha256) == list(kept(tmp_path / "undisturbed").sha256)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_hole_that_stays_is_settled_after_two_readings(
    tmp_path: Path, server: Web, caplog: pytest.LogCaptureFixture, ranges: bool
) -> None:
    page = Tar(server, ranges=ranges)
    page.holes, page.times = [HOLES["whole"](*body) for body in bodies()[:4]], 10**6
    summary = collect(job(tmp_path / "set", Archive(synset=page.template), nk=None, wnids=[WNID, OTHER]))
    assert (summary.kept, summary.reasons.get("not_image")) == (16, 4)
    with sqlite3.connect(tmp_path / "set" / "ledger.sqlite") as ledger:
        rows = ledger.execute("SELECT final, count(*) FROM attempts WHERE reason = 'not_image' GROUP BY final")
        twice, settled = [count for _, count in sorted(rows)]
    assert (settled, twice) >= (4, 4)
    assert "came damaged" not in caplog.text
    sent = page.sent
    collect(job(tmp_path / "set", Archive(synset=page.template), nk=None, wnids=[WNID, OTHER]))
    assert page.sent - sent <= 1, "it is settled"


@pytest.mark.parametrize("processes", [1, 2])
def test_other_bytes_at_each_reading_end_the_run_and_settle_nothing(
    tmp_path: Path, server: Web, processes: int
) -> None:
    page = Tar(server, ranges=True)
    page.holes, page.times, page.filling = [HOLES["whole"](*bodies()[5])], 10**6, random.randbytes
    one = job(tmp_path / "set", Archive(synset=page.template), nk=None, wnids=[WNID, OTHER])
    one = replace(one, engine=Local(processes))
    with pytest.raises(ContradictionError, match=r"other bytes .*; nothing is held against any image"):
        collect(one)
    page.holes = []
    summary = collect(one)
    assert (summary.kept, summary.short) == (20, ())
