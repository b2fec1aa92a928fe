"""Network outages: failures are not held against the URL, and the result is the same."""

from __future__ import annotations

import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collect.city import City, city, wait_for
from collect.hostile import Answer, Asked
from collect.threads import Threads
from imagenet_nk.collect.progress import Progress
from imagenet_nk.dataset.folder_layout import LEDGER
from imagenet_nk.engine.local import Local
from imagenet_nk.net import retry_policy
from program import Program

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[City]:
    with city(tmp_path) as one:
        one.seconds = 0.05
        one.run("undisturbed", Local(1))
        yield one


def outage(go: Callable[[], None], come_back: Callable[[], None] | None, seconds: float) -> Callable[[Progress], None]:
    """A watcher in whose sight the web goes, once it has given some images, and comes back if it does."""
    gone: list[threading.Timer | None] = []

    def watch(progress: Progress) -> None:
        if progress.images > 8 and not gone:
            go()
            gone.append(timer := threading.Timer(seconds, come_back) if come_back else None)
            if timer:
                timer.start()

    return watch


@pytest.mark.parametrize("processes", [1, 2])
def test_outage_with_refused_connections_changes_nothing(town: City, processes: int) -> None:
    watch = outage(town.server.go, town.server.come_back, 4.0)
    town.run("disturbed", Local(processes), watch=watch)
    assert town.outcome("disturbed") == town.outcome("undisturbed")


@pytest.mark.parametrize("processes", [1, 2])
def test_outage_without_responses_changes_nothing(town: City, processes: int) -> None:
    """Long enough for every try of a request to run out of time."""

    def mute(value: bool) -> None:
        town.server.is_mute = value

    town.limits = {"first_byte_timeout": 1.5, "deadline": 5.0, "retries": 1}
    watch = outage(lambda: mute(True), lambda: mute(False), 6.0)
    town.run("disturbed", Local(processes), watch=watch)
    assert town.outcome("disturbed") == town.outcome("undisturbed")


def test_failures_of_a_worker_that_starts_during_an_outage_do_not_count(town: City) -> None:
    def begin(number: int) -> None:
        if number == 1:
            wait_for(town, 12)
            town.server.is_mute = True
            threading.Timer(9.0, come_back).start()

    def come_back() -> None:
        town.server.is_mute = False

    town.server.clear()
    town.limits = {"first_byte_timeout": 1.5, "deadline": 5.0, "retries": 1}
    town.run("disturbed", Threads(2, begin=begin))
    assert town.outcome("disturbed") == town.outcome("undisturbed")


@pytest.mark.parametrize("processes", [1, 2])
def test_outage_without_end_ends_the_run_short(
    town: City, processes: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends short, in bounded time, says so in a line, and settles nothing that it asked in vain."""
    monkeypatch.setattr(retry_policy, "MAX_PAUSE_S", 6.0)
    engine = Local(1) if processes == 1 else Threads(2)
    with caplog.at_level("WARNING"):
        summary = town.run("disturbed", engine, watch=outage(town.server.go, None, 0.0))
    assert summary.short
    assert len([line for line in caplog.messages if "nothing on the network has answered" in line]) == 1
    assert "retry=transient" not in caplog.text, "that is for what failed while the web was there"
    with sqlite3.connect(town.folder / "disturbed" / LEDGER) as db:
        query = "SELECT count(*) FROM attempts WHERE final AND url NOT LIKE '%:9/%' AND transient"
        assert db.execute(query).fetchone() == (0,)
    db.close()
    town.server.come_back()
    town.run("disturbed", engine)
    assert town.outcome("disturbed") == town.outcome("undisturbed")


def in_halves(page: Answer) -> Answer:
    """The second half of what a page sends comes later."""

    def halved(asked: Asked) -> None:
        send = asked.send
        asked.send = (
            lambda data: (  # type: ignore[method-assign]
                send(data[: len(data) // 2]) and asked.wait(0.5) and send(data[len(data) // 2 :])
            )
        )
        page(asked)

    return halved


def test_connections_broken_while_the_run_was_stopped_do_not_count(town: City) -> None:
    town.server.clear()
    for path, page in list(town.server.pages.items()):
        town.server.put(path, in_halves(page))
    child = Program(*town.overrides("disturbed"))
    wait_for(town, 25)
    time.sleep(0.3)  # by now they have their first halves
    child.send_signal(signal.SIGSTOP)
    town.server.go()
    town.server.come_back()
    time.sleep(4)
    child.send_signal(signal.SIGCONT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 0, said
    assert town.outcome("disturbed")[0] == town.outcome("undisturbed")[0]
