"""A web that is gone for a while: nothing is held against whom it met, and what is kept is the same."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collect.city import City, city, wait_for
from collect.hostile import Answer, Asked
from collect.threads import Threads
from imagenet_nk.collect.progress import Progress
from imagenet_nk.config import HttpConfig
from imagenet_nk.dataset.folder_layout import LEDGER
from imagenet_nk.engine.local import Local
from imagenet_nk.net import retry_policy
from imagenet_nk.net.connectivity import ConnectivityMonitor
from imagenet_nk.net.http import Response

REFUSED, TIMEOUT, FINE = Response(0, fault="refused"), Response(0, fault="timeout"), Response(200)
LATE_S = 1.0
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
def test_a_web_that_refuses_everybody_for_a_while(town: City, processes: int) -> None:
    watch = outage(town.server.go, town.server.come_back, 4.0)
    town.run("disturbed", Local(processes), watch=watch)
    assert town.outcome("disturbed") == town.outcome("undisturbed")


@pytest.mark.parametrize("processes", [1, 2])
def test_a_web_that_says_nothing_for_a_while(town: City, processes: int) -> None:
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


def test_what_broke_while_the_run_was_suspended_does_not_count(town: City) -> None:
    town.server.clear()
    for path, page in list(town.server.pages.items()):
        town.server.put(path, in_halves(page))
    command = [sys.executable, str(ROOT / "src" / "imagenet.py"), *town.overrides("disturbed")]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_for(town, 25)
    time.sleep(0.3)  # by now they have their first halves
    child.send_signal(signal.SIGSTOP)
    town.server.go()
    town.server.come_back()
    time.sleep(4)
    child.send_signal(signal.SIGCONT)
    said, _ = child.communicate(timeout=60)
    assert child.returncode == 0, said
    assert town.outcome("disturbed")[0] == town.outcome("undisturbed")[0]


# --- the rules


class Times:
    """A Presence whose clock the test moves."""

    def __init__(self) -> None:
        self.web = ConnectivityMonitor(HttpConfig(deadline=10.0))

    def at(self, seconds: float) -> ConnectivityMonitor:
        self.web._clock.now = seconds
        return self.web

    def settled(self) -> dict[str, bool]:
        return {failure.ticket: counts for failure, counts in self.web.drain_resolved()}


def test_among_answers_a_failure_counts_at_the_next_one() -> None:
    times = Times()
    times.at(1.0).on_response(FINE, "a", "http://a/")
    times.at(1.01).hold("b", REFUSED, 0.0, again=False)
    assert times.settled() == {}
    times.at(1.02).on_response(FINE, "a")
    assert times.settled() == {"b": True}


def test_where_nothing_else_is_asked_a_witness_is_and_a_dead_host_costs_no_more_than_that() -> None:
    times = Times()
    times.at(1.0).on_response(FINE, "a", "http://a/")
    times.at(50.0).hold("b", REFUSED, 0.0, again=False)
    (witness,) = times.at(50.2).witnesses(LATE_S)
    assert (witness.host, witness.url) == ("a", "http://a/")
    times.web.asked(witness)
    assert times.at(50.3).witnesses(LATE_S) == []
    times.web.heard(witness, FINE)
    assert times.settled() == {"b": True}


def test_what_fails_while_a_witness_fails_as_well_does_not_count() -> None:
    times = Times()
    times.at(1.0).on_response(FINE, "a", "http://a/")
    times.at(1.01).hold("b", REFUSED, 0.0, again=False)
    (witness,) = times.at(1.2).witnesses(LATE_S)
    times.web.asked(witness)
    times.web.heard(witness, REFUSED)
    times.at(1.5).hold("c", Response(206, fault="truncated"), 0.4, again=True)
    assert times.settled() == {}
    times.at(1.6).on_response(FINE, "a")
    assert times.settled() == {"b": False, "c": False}
    times.at(1.7).hold("d", TIMEOUT, 1.0, again=True)  # it began while the web was gone
    times.web.hold("e", TIMEOUT, 0.05, again=True)
    times.at(1.8).on_response(FINE, "a")
    assert times.settled() == {"d": False, "e": True}


def test_a_witness_is_asked_as_long_as_others_are_late() -> None:
    times = Times()
    times.at(1.0).on_response(FINE, "a", "http://a/")
    times.at(2.5).asked(times.web.witnesses(LATE_S)[0])
    times.at(2.6).on_response(FINE, "a")
    times.at(3.0).hold("b", TIMEOUT, 1.9, again=False)
    times.at(3.1).on_response(FINE, "a")
    assert times.settled() == {"b": True}


def test_where_no_witness_was_asked_meanwhile_who_was_late_is_asked_once_more() -> None:
    times = Times()
    times.at(1.0).on_response(FINE, "a", "http://a/")
    for again in (False, True):
        now = 5.0 + 5.0 * again
        times.at(now).hold("b", TIMEOUT, 4.0, again=again)
        times.at(now + 0.1).on_response(FINE, "a")
        assert times.settled() == {"b": again}


def test_a_web_that_never_answered_is_waited_for_until_the_deadline() -> None:
    times = Times()
    times.at(1.0).hold("a", REFUSED, 0.0, again=False)
    times.web.tick()
    assert times.settled() == {}
    times.at(11.1).tick()
    assert times.settled() == {"a": True}
    assert not times.web.should_hold(REFUSED)
    assert not times.web.is_offline


def test_where_nothing_has_answered_yet_those_that_failed_are_asked_whether_it_is_there() -> None:
    times = Times()
    times.at(1.0).hold("a", REFUSED, 0.0, again=False, host="a", url="http://a/")
    (witness,) = times.at(1.2).witnesses(LATE_S)
    assert witness.url == "http://a/"
    times.web.asked(witness)
    times.web.heard(witness, REFUSED)
    times.web.asked(times.at(2.3).witnesses(LATE_S)[0])
    times.web.heard(witness, FINE)
    assert times.settled() == {"a": False}
    assert times.at(9.0).witnesses(LATE_S) == []


def test_so_it_is_where_what_answered_cannot_be_asked_again() -> None:
    times = Times()
    times.at(1.0).on_response(FINE, "archive")
    times.at(2.0).hold("a", REFUSED, 0.0, again=False)
    times.at(13.0).tick()
    assert times.settled() == {"a": True}


def test_a_web_is_gone_for_good_only_if_it_was_asked_often() -> None:
    times = Times()
    times.at(1.0).on_response(FINE, "a", "http://a/")
    times.at(2.0).hold("b", REFUSED, 0.0, again=False)
    assert not times.at(100.0).is_offline
    for _ in range(5):
        times.web.asked(times.at(times.web.now + 2.0).witnesses(LATE_S)[0])
    assert times.web.is_offline
    times.web.on_response(Response(200, fault="too_slow"), "c")  # some bytes came
    assert not times.web.is_offline
