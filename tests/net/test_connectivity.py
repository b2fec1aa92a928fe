from __future__ import annotations

from imagenet_nk.config import HttpConfig
from imagenet_nk.net.connectivity import ConnectivityMonitor
from imagenet_nk.net.http import Response

REFUSED, TIMEOUT, FINE = Response(0, fault="refused"), Response(0, fault="timeout"), Response(200)
LATE_S = 1.0


class Times:
    """A monitor whose clock the test moves."""

    def __init__(self) -> None:
        self.monitor = ConnectivityMonitor(HttpConfig(deadline=10.0))

    def at(self, seconds: float) -> ConnectivityMonitor:
        self.monitor._clock.now = seconds
        return self.monitor

    def settled(self) -> dict[str, bool]:
        return {failure.ticket: counts for failure, counts in self.monitor.drain_resolved()}


def test_failure_among_answers_counts_at_the_next_answer() -> None:
    times = Times()
    times.at(1.0).on_response(FINE, "a", "http://a/")
    times.at(1.01).hold("b", REFUSED, 0.0, is_repeat=False)
    assert times.settled() == {}
    times.at(1.02).on_response(FINE, "a")
    assert times.settled() == {"b": True}


def test_probe_confirms_a_failure_if_nothing_else_is_in_flight() -> None:
    times = Times()
    times.at(1.0).on_response(FINE, "a", "http://a/")
    times.at(50.0).hold("b", REFUSED, 0.0, is_repeat=False)
    (target,) = times.at(50.2).probe_targets(LATE_S)
    assert (target.host, target.url) == ("a", "http://a/")
    times.monitor.on_probe_sent(target)
    assert times.at(50.3).probe_targets(LATE_S) == []
    times.monitor.on_probe_response(target, FINE)
    assert times.settled() == {"b": True}


def test_failure_does_not_count_while_a_probe_fails_as_well() -> None:
    times = Times()
    times.at(1.0).on_response(FINE, "a", "http://a/")
    times.at(1.01).hold("b", REFUSED, 0.0, is_repeat=False)
    (target,) = times.at(1.2).probe_targets(LATE_S)
    times.monitor.on_probe_sent(target)
    times.monitor.on_probe_response(target, REFUSED)
    times.at(1.5).hold("c", Response(206, fault="truncated"), 0.4, is_repeat=True)
    assert times.settled() == {}
    times.at(1.6).on_response(FINE, "a")
    assert times.settled() == {"b": False, "c": False}
    times.at(1.7).hold("d", TIMEOUT, 1.0, is_repeat=True)  # it began while the web was gone
    times.monitor.hold("e", TIMEOUT, 0.05, is_repeat=True)
    times.at(1.8).on_response(FINE, "a")
    assert times.settled() == {"d": False, "e": True}


def test_probe_is_sent_while_others_are_late() -> None:
    times = Times()
    times.at(1.0).on_response(FINE, "a", "http://a/")
    times.at(2.5).on_probe_sent(times.monitor.probe_targets(LATE_S)[0])
    times.at(2.6).on_response(FINE, "a")
    times.at(3.0).hold("b", TIMEOUT, 1.9, is_repeat=False)
    times.at(3.1).on_response(FINE, "a")
    assert times.settled() == {"b": True}


def test_late_request_is_repeated_once_if_no_probe_was_sent() -> None:
    times = Times()
    times.at(1.0).on_response(FINE, "a", "http://a/")
    for is_repeat in (False, True):
        now = 5.0 + 5.0 * is_repeat
        times.at(now).hold("b", TIMEOUT, 4.0, is_repeat=is_repeat)
        times.at(now + 0.1).on_response(FINE, "a")
        assert times.settled() == {"b": is_repeat}


def test_failures_count_after_the_deadline_if_nothing_ever_answered() -> None:
    times = Times()
    times.at(1.0).hold("a", REFUSED, 0.0, is_repeat=False)
    times.monitor.tick()
    assert times.settled() == {}
    times.at(11.1).tick()
    assert times.settled() == {"a": True}
    assert not times.monitor.should_hold(REFUSED)
    assert not times.monitor.is_offline


def test_failed_hosts_are_probed_if_nothing_has_answered_yet() -> None:
    times = Times()
    times.at(1.0).hold("a", REFUSED, 0.0, is_repeat=False, host="a", url="http://a/")
    (target,) = times.at(1.2).probe_targets(LATE_S)
    assert target.url == "http://a/"
    times.monitor.on_probe_sent(target)
    times.monitor.on_probe_response(target, REFUSED)
    times.monitor.on_probe_sent(times.at(2.3).probe_targets(LATE_S)[0])
    times.monitor.on_probe_response(target, FINE)
    assert times.settled() == {"a": False}
    assert times.at(9.0).probe_targets(LATE_S) == []


def test_failures_count_if_the_host_that_answered_cannot_be_probed() -> None:
    times = Times()
    times.at(1.0).on_response(FINE, "archive")
    times.at(2.0).hold("a", REFUSED, 0.0, is_repeat=False)
    times.at(13.0).tick()
    assert times.settled() == {"a": True}


def test_offline_only_after_several_probes() -> None:
    times = Times()
    times.at(1.0).on_response(FINE, "a", "http://a/")
    times.at(2.0).hold("b", REFUSED, 0.0, is_repeat=False)
    assert not times.at(100.0).is_offline
    for _ in range(5):
        times.monitor.on_probe_sent(times.at(times.monitor.now + 2.0).probe_targets(LATE_S)[0])
    assert times.monitor.is_offline
    times.monitor.on_response(Response(200, fault="too_slow"), "c")  # some bytes came
    assert not times.monitor.is_offline
