from __future__ import annotations

from imagenet_nk.config import HttpConfig
from imagenet_nk.net.connectivity import ConnectivityMonitor
from imagenet_nk.net.http import Response

REFUSED, TIMEOUT, FINE = Response(0, fault="refused"), Response(0, fault="timeout"), Response(200)
LATE_S = 1.0


class Times:
    """A Presence whose clock the test moves."""

    def __init__(self) -> None:
        self.web = ConnectivityMonitor(HttpConfig(deadline=10.0))

    def at(self, seconds: float) -> ConnectivityMonitor:
        self.web._clock.now = seconds
        return self.web

    def settled(self) -> dict[str, bool]:
        return {failure.ticket: counts for failure, counts in self.web.drain_resolved()}


def test_failure_among_answers_counts_at_the_next_answer() -> None:
    times = Times()
    times.at(1.0).on_response(FINE, "a", "http://a/")
    times.at(1.01).hold("b", REFUSED, 0.0, again=False)
    assert times.settled() == {}
    times.at(1.02).on_response(FINE, "a")
    assert times.settled() == {"b": True}


def test_probe_confirms_a_failure_if_nothing_else_is_in_flight() -> None:
    times = Times()
    times.at(1.0).on_response(FINE, "a", "http://a/")
    times.at(50.0).hold("b", REFUSED, 0.0, again=False)
    (witness,) = times.at(50.2).witnesses(LATE_S)
    assert (witness.host, witness.url) == ("a", "http://a/")
    times.web.asked(witness)
    assert times.at(50.3).witnesses(LATE_S) == []
    times.web.heard(witness, FINE)
    assert times.settled() == {"b": True}


def test_failure_does_not_count_while_a_probe_fails_as_well() -> None:
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


def test_probe_is_sent_while_others_are_late() -> None:
    times = Times()
    times.at(1.0).on_response(FINE, "a", "http://a/")
    times.at(2.5).asked(times.web.witnesses(LATE_S)[0])
    times.at(2.6).on_response(FINE, "a")
    times.at(3.0).hold("b", TIMEOUT, 1.9, again=False)
    times.at(3.1).on_response(FINE, "a")
    assert times.settled() == {"b": True}


def test_late_request_is_repeated_once_if_no_probe_was_sent() -> None:
    times = Times()
    times.at(1.0).on_response(FINE, "a", "http://a/")
    for again in (False, True):
        now = 5.0 + 5.0 * again
        times.at(now).hold("b", TIMEOUT, 4.0, again=again)
        times.at(now + 0.1).on_response(FINE, "a")
        assert times.settled() == {"b": again}


def test_failures_count_after_the_deadline_if_nothing_ever_answered() -> None:
    times = Times()
    times.at(1.0).hold("a", REFUSED, 0.0, again=False)
    times.web.tick()
    assert times.settled() == {}
    times.at(11.1).tick()
    assert times.settled() == {"a": True}
    assert not times.web.should_hold(REFUSED)
    assert not times.web.is_offline


def test_failed_hosts_are_probed_if_nothing_has_answered_yet() -> None:
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


def test_failures_count_if_the_host_that_answered_cannot_be_probed() -> None:
    times = Times()
    times.at(1.0).on_response(FINE, "archive")
    times.at(2.0).hold("a", REFUSED, 0.0, again=False)
    times.at(13.0).tick()
    assert times.settled() == {"a": True}


def test_offline_only_after_several_probes() -> None:
    times = Times()
    times.at(1.0).on_response(FINE, "a", "http://a/")
    times.at(2.0).hold("b", REFUSED, 0.0, again=False)
    assert not times.at(100.0).is_offline
    for _ in range(5):
        times.web.asked(times.at(times.web.now + 2.0).witnesses(LATE_S)[0])
    assert times.web.is_offline
    times.web.on_response(Response(200, fault="too_slow"), "c")  # some bytes came
    assert not times.web.is_offline
