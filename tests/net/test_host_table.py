from __future__ import annotations

import pytest

from imagenet_nk.config import HttpConfig
from imagenet_nk.net.congestion import CongestionWindow
from imagenet_nk.net.host_table import HostTable
from imagenet_nk.net.http import Response

A, B = "a.test:80", "b.test:80"
TIMEOUT, REFUSED, FINE = Response(0, fault="timeout"), Response(0, fault="refused"), Response(200)


def hosts(**settings: object) -> HostTable:
    return HostTable(HttpConfig(**{"per_host": 3, "dead_host_after": 2} | settings))


def ask(of: HostTable, key: str, response: Response, started: float, ended: float) -> None:
    of.started(key, started)
    finish(of, key, response, started, ended)


def finish(of: HostTable, key: str, response: Response, started: float, ended: float) -> None:
    of.over(key, started, ended)
    of.said(key, response, started, ended)


def test_a_host_takes_so_many_at_once() -> None:
    of = hosts()
    for _ in range(3):
        assert of.ready(A, 0)
        of.started(A, 0)
    assert not of.ready(A, 0)
    assert of.ready(B, 0)
    finish(of, A, FINE, 0, 1)
    assert of.ready(A, 1)


def test_a_rate_spaces_requests_out() -> None:
    of = hosts(host_rates={"a.test": 2.0})
    of.started(A, 10)
    assert not of.ready(A, 10.4)
    assert of.ready(A, 10.5)
    assert of.ready(B, 10)
    everywhere = hosts(per_host_rate=1.0)
    everywhere.started(B, 10)
    assert not everywhere.ready(B, 10.9)


def test_a_pause_that_was_asked_for_is_kept_and_never_shortened() -> None:
    of = hosts()
    of.pause(A, 50)
    of.pause(A, 20)
    assert not of.ready(A, 49)
    assert of.ready(A, 50)


def test_a_host_that_fails_is_set_aside_and_probed() -> None:
    of = hosts()
    ask(of, A, REFUSED, 0, 1)
    assert not of.get(A).aside
    ask(of, A, REFUSED, 1, 2)
    assert of.get(A).aside
    assert not of.ready(A, 2)
    assert not of.given_up(A)
    later = of.get(A).next_start
    assert of.ready(A, later)
    of.started(A, later)
    assert not of.ready(A, later)  # one probe at a time
    finish(of, A, FINE, later, later + 1)
    assert not of.get(A).aside
    assert of.ready(A, later + 1)


def test_a_host_that_never_answered_is_given_up_after_its_probe() -> None:
    of = hosts()
    ask(of, A, REFUSED, 0, 1)
    ask(of, A, TIMEOUT, 1, 2)
    probe = of.get(A).next_start
    ask(of, A, TIMEOUT, probe, probe + 4)
    assert of.given_up(A) == "timeout"
    assert not of.given_up(B)


def test_a_host_that_has_answered_gets_more_probes_further_and_further_apart() -> None:
    of = hosts()
    ask(of, A, FINE, 0, 1)
    ask(of, A, TIMEOUT, 2, 6)
    ask(of, A, TIMEOUT, 6, 10)
    waits, now = [], 10.0
    while not of.given_up(A):
        waits.append(of.get(A).next_start - now)
        probe = of.get(A).next_start
        now = probe + 4
        ask(of, A, TIMEOUT, probe, now)
    assert len(waits) == 3
    assert waits == sorted(waits)
    assert waits[0] < waits[-1]


def test_a_host_that_asks_for_too_long_a_pause_is_set_aside_and_given_up_if_it_asks_again() -> None:
    of = hosts(max_pause=60.0)
    ask(of, A, FINE, 0, 1)
    for _ in range(2):  # in flight together
        of.started(A, 1)
    for _ in range(2):
        of.over(A, 1, 2)
        of.sent_away(A, "http_429", 1, 2)
    assert of.get(A).aside
    assert not of.ready(A, 61)
    assert of.ready(A, 62)
    assert of.given_up(A) == ""
    ask(of, A, FINE, 62, 63)
    assert not of.get(A).aside
    for now in (64, 130):
        of.started(A, now)
        of.over(A, now, now + 1)
        of.sent_away(A, "http_503", now, now + 1)
    assert of.given_up(A) == "http_503"
    assert of.answered


def test_those_that_were_in_flight_already_are_no_probes() -> None:
    """One hiccup ends all requests to a busy host at once; that is no reason to give it up unasked."""
    of = hosts(per_host=32)
    for _ in range(32):
        of.started(A, 0)
    for _ in range(32):
        finish(of, A, TIMEOUT, 0, 4)
    assert of.get(A).aside
    assert not of.given_up(A)
    assert of.ready(A, of.get(A).next_start)
    assert of.get(A).next_start < 60


def test_a_straggler_from_before_an_answer_says_nothing() -> None:
    of = hosts(dead_host_after=1)
    of.started(A, 0)
    ask(of, A, FINE, 1, 2)
    finish(of, A, TIMEOUT, 0, 10)
    assert not of.get(A).aside


@pytest.mark.parametrize(
    "response", [Response(404), Response(500), Response(0, fault="reset"), Response(0, fault="tls")]
)
def test_any_sign_of_life_counts_as_an_answer(response: Response) -> None:
    of = hosts()
    ask(of, A, REFUSED, 0, 1)
    ask(of, A, response, 1, 2)
    ask(of, A, REFUSED, 3, 4)
    assert not of.get(A).aside
    assert of.answered


def test_a_dead_network_is_one_where_nobody_answered() -> None:
    of = hosts()
    assert of.answered  # nobody was asked
    of.get(B)
    ask(of, A, REFUSED, 0, 1)
    assert not of.answered
    ask(of, B, FINE, 0, 1)
    assert of.answered


def test_success_of_a_host_moves_from_the_overall_rate_to_its_own() -> None:
    of = hosts()
    assert of.success_at(A) == pytest.approx(0.5)
    for _ in range(200):
        of.learn(A, image=True)
        of.learn(B, image=False)
    assert of.success == pytest.approx(0.5, abs=0.01)
    assert of.success_at(A) > 0.95
    assert of.success_at(B) < 0.05
    assert of.success_at("new.test:80") == pytest.approx(of.success)


def test_fewer_requests_on_a_thin_wire_and_more_again_on_a_quick_one() -> None:
    for late in ((3.0, 0.1), (0.1, 9.0)):
        pace = CongestionWindow(HttpConfig(concurrency=256, first_byte_timeout=4, deadline=10))
        begin = pace.limit
        for _ in range(300):
            pace.note(*late)
        assert pace.limit == 4
        pace.note(0.1, 0.1, wanted=False)
        assert pace.limit == 4
        for _ in range(600):
            pace.note(0.1, 0.1)
        assert pace.limit == 256 > begin
    assert CongestionWindow(HttpConfig(concurrency=1)).limit == 1
