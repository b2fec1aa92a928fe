from __future__ import annotations

import pytest

from imagenet_nk.config import HttpConfig
from imagenet_nk.net import host_table
from imagenet_nk.net.host_table import HostTable
from imagenet_nk.net.http import Response

A, B = "a.test:80", "b.test:80"
TIMEOUT, REFUSED, FINE = Response(0, fault="timeout"), Response(0, fault="refused"), Response(200)


@pytest.fixture(autouse=True)
def two_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two failures in a row suspend a host."""
    monkeypatch.setattr(host_table, "DEAD_HOST_FAILURES", 2)


def hosts(**settings: object) -> HostTable:
    return HostTable(HttpConfig(**{"per_host": 3} | settings))


def ask(of: HostTable, key: str, response: Response, started: float, ended: float) -> None:
    of.acquire(key, started)
    finish(of, key, response, started, ended)


def finish(of: HostTable, key: str, response: Response, started: float, ended: float) -> None:
    of.release(key, started, ended)
    of.on_response(key, response, started, ended)


def test_requests_to_one_host_are_limited_by_per_host() -> None:
    of = hosts()
    for _ in range(3):
        assert of.can_start(A, 0)
        of.acquire(A, 0)
    assert not of.can_start(A, 0)
    assert of.can_start(B, 0)
    finish(of, A, FINE, 0, 1)
    assert of.can_start(A, 1)


def test_rate_limit_spaces_requests() -> None:
    of = hosts(host_rates={"a.test": 2.0})
    of.acquire(A, 10)
    assert not of.can_start(A, 10.4)
    assert of.can_start(A, 10.5)
    assert of.can_start(B, 10)
    everywhere = hosts(host_rates={"*": 1.0, "a.test": 2.0})
    everywhere.acquire(B, 10)
    assert not everywhere.can_start(B, 10.9)


def test_pause_is_never_shortened() -> None:
    of = hosts()
    of.pause(A, 50)
    of.pause(A, 20)
    assert not of.can_start(A, 49)
    assert of.can_start(A, 50)


def test_failing_host_is_suspended_and_probed() -> None:
    of = hosts()
    ask(of, A, REFUSED, 0, 1)
    assert not of.get(A).is_suspended
    ask(of, A, REFUSED, 1, 2)
    assert of.get(A).is_suspended
    assert not of.can_start(A, 2)
    assert not of.down_reason(A)
    later = of.get(A).next_start
    assert of.can_start(A, later)
    of.acquire(A, later)
    assert not of.can_start(A, later)  # one probe at a time
    finish(of, A, FINE, later, later + 1)
    assert not of.get(A).is_suspended
    assert of.can_start(A, later + 1)


def test_host_that_never_answered_is_down_after_one_failed_probe() -> None:
    of = hosts()
    ask(of, A, REFUSED, 0, 1)
    ask(of, A, TIMEOUT, 1, 2)
    probe = of.get(A).next_start
    ask(of, A, TIMEOUT, probe, probe + 4)
    assert of.down_reason(A) == "timeout"
    assert not of.down_reason(B)


def test_host_that_has_answered_gets_more_probes_at_growing_intervals() -> None:
    of = hosts()
    ask(of, A, FINE, 0, 1)
    ask(of, A, TIMEOUT, 2, 6)
    ask(of, A, TIMEOUT, 6, 10)
    waits, now = [], 10.0
    while not of.down_reason(A):
        waits.append(of.get(A).next_start - now)
        probe = of.get(A).next_start
        now = probe + 4
        ask(of, A, TIMEOUT, probe, now)
    assert len(waits) == 3
    assert waits == sorted(waits)
    assert waits[0] < waits[-1]


def test_host_that_repeats_a_long_retry_after_is_down() -> None:
    of = hosts()
    ask(of, A, FINE, 0, 1)
    for _ in range(2):  # in flight together
        of.acquire(A, 1)
    for _ in range(2):
        of.release(A, 1, 2)
        of.on_long_retry_after(A, "http_429", 1, 2)
    assert of.get(A).is_suspended
    assert not of.can_start(A, 61)
    assert of.can_start(A, 62)
    assert of.down_reason(A) == ""
    ask(of, A, FINE, 62, 63)
    assert not of.get(A).is_suspended
    for now in (64, 130):
        of.acquire(A, now)
        of.release(A, now, now + 1)
        of.on_long_retry_after(A, "http_503", now, now + 1)
    assert of.down_reason(A) == "http_503"
    assert of.any_answered


def test_requests_in_flight_at_suspension_are_not_probes() -> None:
    """One short failure ends all requests to a busy host at once; the host is not down for that."""
    of = hosts(per_host=32)
    for _ in range(32):
        of.acquire(A, 0)
    for _ in range(32):
        finish(of, A, TIMEOUT, 0, 4)
    assert of.get(A).is_suspended
    assert not of.down_reason(A)
    assert of.can_start(A, of.get(A).next_start)
    assert of.get(A).next_start < 60


def test_failure_of_a_request_older_than_the_last_answer_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_table, "DEAD_HOST_FAILURES", 1)
    of = hosts()
    of.acquire(A, 0)
    ask(of, A, FINE, 1, 2)
    finish(of, A, TIMEOUT, 0, 10)
    assert not of.get(A).is_suspended


@pytest.mark.parametrize(
    "response", [Response(404), Response(500), Response(0, fault="reset"), Response(0, fault="tls")]
)
def test_any_answer_resets_the_failure_count(response: Response) -> None:
    of = hosts()
    ask(of, A, REFUSED, 0, 1)
    ask(of, A, response, 1, 2)
    ask(of, A, REFUSED, 3, 4)
    assert not of.get(A).is_suspended
    assert of.any_answered


def test_any_answered_is_false_only_if_all_contacted_hosts_failed() -> None:
    of = hosts()
    assert of.any_answered  # no host was contacted
    of.get(B)
    ask(of, A, REFUSED, 0, 1)
    assert not of.any_answered
    ask(of, B, FINE, 0, 1)
    assert of.any_answered


def test_host_success_rate_moves_from_overall_rate_to_its_own() -> None:
    of = hosts()
    assert of.host_success_rate(A) == pytest.approx(0.5)
    for _ in range(200):
        of.record_outcome(A, image=True)
        of.record_outcome(B, image=False)
    assert of.success_rate == pytest.approx(0.5, abs=0.01)
    assert of.host_success_rate(A) > 0.95
    assert of.host_success_rate(B) < 0.05
    assert of.host_success_rate("new.test:80") == pytest.approx(of.success_rate)


def test_long_pause_of_one_process_suspends_the_host_in_another() -> None:
    first, second = HostTable(HttpConfig()), HostTable(HttpConfig())
    first.acquire("a.test:80", 0.0)
    first.on_long_retry_after("a.test:80", "http_429", 0.0, 1.0)
    first.acquire("down.test:80", 0.0)
    (pause,) = first.long_pauses(now=1.0)
    second.apply_long_pause(pause, now=500.0)
    admission = second.admission("a.test:80", 500.0 + pause.seconds / 2)
    assert (admission.can_start, admission.is_suspended, admission.down_reason) == (False, True, "")
    assert second.admission("a.test:80", 500.0 + pause.seconds).can_start, "a probe"
    assert second.requested_hosts == 0
