"""Connectivity monitor: failures during an outage are not held against the URL.

A failure is held until some host answers. It counts if hosts answered meanwhile; if the network was gone, its request
is repeated. While nothing answers, a host that answered before is probed: it is asked for its robots.txt.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

from imagenet_nk.config.collecting import HttpConfig
from imagenet_nk.net import retry_policy
from imagenet_nk.net.host_table import HOST_FAULTS, HostTable
from imagenet_nk.net.http import Request, Response, Transport
from imagenet_nk.net.robots import robots_url
from imagenet_nk.net.transfer_timeouts import LoopClock
from imagenet_nk.reasons import TRANSIENT_FAULTS, Reason

MAX_OUTAGE_RETRIES = 3  # of a request whose failure an outage explains
_INSTANT_FAULTS = frozenset({Reason.REFUSED, Reason.NO_DNS, Reason.RESET, Reason.TRUNCATED})  # the others take seconds
_OUTAGE_S = 2.0  # without an answer since one was due: an outage
_FIRST_PROBE_S, _PROBE_INTERVAL_S = 0.1, 1.0  # without an answer, while a failure is held
_MIN_PROBES = 5  # unanswered, before the network counts as offline
_MAX_TARGETS = 8  # hosts


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """A URL of a host that can be probed. Any answer shows that the network is there."""

    host: str
    url: str
    started: float = 0.0  # of the probe, by time.monotonic()


@dataclass(frozen=True, slots=True)
class HeldFailure:
    """A failed request: the ticket of the caller, and the response."""

    ticket: Any
    response: Response
    started: float
    ended: float
    is_repeat: bool  # whether it was repeated already because of an outage


class ConnectivityMonitor:
    """State of the network, from the responses of one reader. Times are seconds of `now`, a clock of the loop."""

    def __init__(self, http: HttpConfig) -> None:
        self._http = http
        self._clock = LoopClock()
        self._last_answer = 0.0  # a complete response, or a status that is no transient fault
        self._last_byte = 0.0  # of any response, complete or not
        self._due_since = math.inf  # when the first answer was due that has not come
        self._unanswered_probes = 0
        self._probe_failed = False  # since the last answer
        self._recovered_at = -math.inf  # first answer after the last outage
        self._held: list[HeldFailure] = []
        self._resolved: list[tuple[HeldFailure, bool]] = []
        self._targets: OrderedDict[str, str] = OrderedDict()  # URLs by host that answered, the next one to probe first
        self._untrusted_targets: OrderedDict[str, str] = OrderedDict()  # hosts that failed, used until one has answered
        self._last_probe = -math.inf

    @property
    def has_held(self) -> bool:
        """Whether a failure is held."""
        return bool(self._held)

    @property
    def now(self) -> float:
        return self._clock.now

    def tick(self) -> None:
        """Advance the clock; to be called in each step of the loop."""
        self._clock.tick()
        if self._clock.missed >= _OUTAGE_S:  # the process was suspended, and connections may have broken meanwhile
            self._recovered_at = self.now
        if self._held and self._has_no_targets:
            self._resolve(all_count=True)  # nothing to compare with; the caller notices that no host ever answered

    def should_hold(self, response: Response) -> bool:
        """Whether a response is a failure that an outage may explain."""
        return response.fault in TRANSIENT_FAULTS and not self._has_no_targets

    @property
    def _has_no_targets(self) -> bool:
        """Whether no host can be probed, and none has answered for as long as the deadline of a request."""
        return not self._targets and self.now - self._due_since >= self._http.deadline

    def hold(
        self, ticket: Any, response: Response, seconds: float, *, is_repeat: bool, host: str = "", url: str = ""
    ) -> None:
        """Hold a failure of a request that took `seconds`, until drain_resolved() returns it.

        `url`: its URL, if its host may be probed.
        """
        if url and not self._targets:
            _add_target(self._untrusted_targets, host, url)
        self._held.append(HeldFailure(ticket, response, self.now - seconds, self.now, is_repeat))
        self._due_since = min(self._due_since, self.now)

    def on_response(self, response: Response, host: str, url: str = "") -> None:
        """Record how a request ended. `url`: its URL, if its host may be probed."""
        if response.status:
            self._last_byte = self.now
        if response.fault in TRANSIENT_FAULTS:
            return
        if self._probe_failed or self.now - self._due_since >= _OUTAGE_S:
            self._recovered_at = self.now
        self._resolve(all_count=False)
        self._last_answer = self._last_byte = self.now
        self._due_since, self._unanswered_probes, self._probe_failed = math.inf, 0, False
        self._untrusted_targets.clear()
        if url:
            _add_target(self._targets, host, url)

    def _resolve(self, *, all_count: bool) -> None:
        """Decide for all held failures whether they count."""
        was_silent = self.now - self._last_answer >= _OUTAGE_S
        for failure in self._held:
            is_doubtful = was_silent and not failure.is_repeat and failure.response.fault not in _INSTANT_FAULTS
            counts = all_count or not (is_doubtful or self._recovered_at > failure.started)
            self._resolved.append((failure, counts))
        self._held.clear()

    def drain_resolved(self) -> list[tuple[HeldFailure, bool]]:
        """The failures that were decided since the last call, each with whether it counts."""
        resolved, self._resolved = self._resolved, []
        return resolved

    def probe_targets(self, slow_threshold: float) -> list[ProbeTarget]:
        """Hosts of which one is to be probed now; empty while no probe is due.

        `slow_threshold`: seconds after which an answer is late.
        """
        interval = _PROBE_INTERVAL_S if self._unanswered_probes else _FIRST_PROBE_S
        if self.now - max(self._last_answer, self._last_probe) < (interval if self._held else slow_threshold):
            return []
        return [ProbeTarget(host, url) for host, url in (self._targets or self._untrusted_targets).items()]

    def on_probe_sent(self, target: ProbeTarget) -> None:
        """Record a probe; the other targets are probed before this one is again."""
        (self._targets or self._untrusted_targets).move_to_end(target.host)
        self._last_probe = self.now
        self._due_since = min(self._due_since, self.now)
        self._unanswered_probes += 1

    def on_probe_response(self, target: ProbeTarget, response: Response) -> None:
        """Record how a probe ended."""
        self._probe_failed = self._probe_failed or response.fault in TRANSIENT_FAULTS
        self.on_response(response, target.host)

    @property
    def is_offline(self) -> bool:
        """Whether nothing has answered for MAX_PAUSE_S, so that the run should end."""
        if not self._held or not self._targets or self._unanswered_probes < _MIN_PROBES:
            return False
        return self.now - max(self._last_byte, self._held[0].ended) >= retry_policy.MAX_PAUSE_S


def _add_target(targets: OrderedDict[str, str], host: str, url: str) -> None:
    targets[host] = url
    if len(targets) > _MAX_TARGETS:
        targets.popitem(last=False)


class ConnectivityProber:
    """Sends the probes, within the limits of their hosts."""

    def __init__(self, monitor: ConnectivityMonitor, hosts: HostTable, transport: Transport) -> None:
        self._monitor, self._hosts, self._transport = monitor, hosts, transport

    def probe(self, slow_threshold: float) -> None:
        """Send a probe if one is due. `slow_threshold`: seconds after which an answer is late."""
        now = time.monotonic()
        for target in self._monitor.probe_targets(slow_threshold):
            if self._hosts.can_start(target.host, now):
                self._hosts.acquire(target.host, now)
                self._monitor.on_probe_sent(target)
                # robots.txt, since the URL itself would be an image that is fetched twice
                request = Request(robots_url(target.url), 0, 0, follow=False)
                self._transport.submit(request, replace(target, started=now))
                break

    def on_response(self, target: ProbeTarget, response: Response) -> None:
        """Record how a probe ended."""
        now = time.monotonic()
        self._hosts.release(target.host, target.started, now)
        self._monitor.on_probe_response(target, response)
        if response.fault not in HOST_FAULTS:
            self._hosts.on_response(target.host, response, target.started, now)
