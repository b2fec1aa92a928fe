"""Per-host limits, suspension of hosts that fail, and success rates. All times are passed in by the caller."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import NamedTuple

from imagenet_nk.config.collecting import HttpConfig
from imagenet_nk.net import retry_policy
from imagenet_nk.net.http import Response
from imagenet_nk.reasons import Reason

# Faults of a host as a whole, rather than of one URL on it.
HOST_FAULTS = frozenset({Reason.NO_DNS, Reason.REFUSED, Reason.TIMEOUT})
DEAD_HOST_FAILURES = 4  # consecutive, until a host is suspended: one lost packet or slow page is no dead host
_FIRST_PROBE_S, _PROBE_GROWTH = 2.0, 2.0
_PROBES_NEVER_ANSWERED, _PROBES_ANSWERED = 1, 3  # failed probes after which a host counts as down
_PRIOR = 5.0  # weight, in candidates, of the overall success rate in the estimate for one host


def host_down_response(fault: str, url: str) -> Response:
    """The response recorded for a URL that is not requested because its host is down."""
    status = fault.removeprefix("http_")
    return Response(int(status), final_url=url) if status != fault else Response(0, fault=fault, final_url=url)


class Admission(NamedTuple):
    """Whether a request may go to a host at this moment."""

    can_start: bool  # its limits, its pauses and its probes allow it
    is_suspended: bool  # it failed or asked for a long pause: other hosts go first
    down_reason: str  # why its candidates are rejected without a request; "" = it is not down

    @property
    def is_decided(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.can_start or bool(self.down_reason)


class LongPause(NamedTuple):
    """A suspension after a Retry-After of more than MAX_PAUSE_S, as another process is told of it."""

    host: str
    reason: str
    probes: int
    seconds: float  # until the next request may start


@dataclass(slots=True)
class HostState:
    """State of one host:port."""

    requests: int = 0  # requests started
    in_flight: int = 0
    next_start: float = 0.0  # earliest start of the next request: rate limit, Retry-After or probe interval
    failures: int = 0  # consecutive
    last_answer: float = float("-inf")
    probes: int = 0  # failed since the host was suspended
    is_suspended: bool = False
    suspended_at: float = 0.0  # requests already in flight at that time are not probes
    fault: str = ""  # of the last failure
    seconds: float = 0.0  # total duration of finished requests
    images: float = 0  # candidates that gave a valid image
    candidates: float = 0  # candidates with a known outcome


@dataclass
class HostTable:
    """All hosts of a run."""

    http: HttpConfig
    table: dict[str, HostState] = field(default_factory=dict)
    images: float = 0
    candidates: float = 0

    def get(self, key: str) -> HostState:
        if (host := self.table.get(key)) is None:
            host = self.table[key] = HostState()
        return host

    def admission(self, key: str, now: float) -> Admission:
        """The only question that is asked before a candidate is started or a request is sent."""
        return Admission(self.can_start(key, now), self.get(key).is_suspended, self.down_reason(key))

    def can_start(self, key: str, now: float) -> bool:
        """Whether a request may start now. A suspended host gets one request at a time, as a probe."""
        host = self.get(key)
        return now >= host.next_start and host.in_flight < (1 if host.is_suspended else self.http.per_host)

    def down_reason(self, key: str) -> str:
        """The fault of a host that also failed its probes, whose candidates are rejected without a request; else ""."""
        host = self.table.get(key)
        if host is None or not host.is_suspended:
            return ""
        alive = (
            host.last_answer > float("-inf") and host.fault in HOST_FAULTS
        )  # with an HTTP status as its fault, one failed probe is enough
        needed = _PROBES_ANSWERED if alive else _PROBES_NEVER_ANSWERED
        return host.fault if host.probes >= needed else ""

    def acquire(self, key: str, now: float) -> None:
        host = self.get(key)
        host.requests += 1
        host.in_flight += 1
        rate = self.http.rate_of(key.rpartition(":")[0])
        if rate:
            host.next_start = max(host.next_start, now) + 1 / rate

    def release(self, key: str, started: float, now: float) -> None:
        """Record the end of a request that began at `started`, whatever its outcome."""
        host = self.get(key)
        host.in_flight -= 1
        host.seconds += now - started

    def on_unconfirmed_failure(self, key: str, now: float) -> None:
        """Record a failure that an outage may explain. It does not count yet, but the next probe has to wait."""
        host = self.get(key)
        if host.is_suspended:
            host.next_start = max(host.next_start, now + _FIRST_PROBE_S)

    def on_response(self, key: str, response: Response, started: float, now: float) -> None:
        """Record the outcome of a request that began at `started` and ended at `now`."""
        if response.fault not in HOST_FAULTS:
            self.mark_alive(key, now)
        else:
            self.on_failure(key, response.fault, started, now)

    def mark_alive(self, key: str, now: float) -> None:
        """Record that the host answered, whatever the answer, and lift its suspension."""
        host = self.get(key)
        host.failures, host.probes, host.is_suspended, host.last_answer = 0, 0, False, now

    def on_failure(self, key: str, fault: str, started: float, now: float) -> None:
        """Record one of HOST_FAULTS for a request that began at `started`; enough of them suspend the host."""
        host = self.get(key)
        if started > host.last_answer:  # else the host has answered a later request
            host.failures += 1
            host.fault = fault
            if host.is_suspended and started >= host.suspended_at:
                host.probes += 1
                host.next_start = now + _FIRST_PROBE_S * _PROBE_GROWTH**host.probes
            elif not host.is_suspended and host.failures >= DEAD_HOST_FAILURES:
                host.is_suspended, host.suspended_at, host.next_start = True, now, now + _FIRST_PROBE_S

    def on_long_retry_after(self, key: str, fault: str, started: float, now: float) -> None:
        """Record a Retry-After of more than MAX_PAUSE_S in answer to a request that began at `started`.

        The host is suspended for MAX_PAUSE_S; if a probe gets the same answer, the host counts as down.
        """
        host = self.get(key)
        if not host.is_suspended:
            host.is_suspended, host.suspended_at, host.probes = True, now, 0
        elif started >= host.suspended_at:
            host.probes += 1
        host.fault, host.last_answer = fault, now
        self.pause(key, now + retry_policy.MAX_PAUSE_S)

    def long_pauses(self, now: float) -> list[LongPause]:
        """The hosts that are suspended because of a long Retry-After."""
        return [
            LongPause(key, host.fault, host.probes, host.next_start - now)
            for key, host in self.table.items()
            if host.is_suspended and host.fault not in HOST_FAULTS
        ]

    def apply_long_pause(self, pause: LongPause, now: float) -> None:
        """Suspend a host because of what it answered to another process."""
        host = self.get(pause.host)
        host.is_suspended, host.suspended_at, host.fault, host.last_answer = True, now, pause.reason, now
        host.probes = max(host.probes, pause.probes)
        self.pause(pause.host, now + pause.seconds)

    def slowest(self, count: int, least: int = 3) -> list[tuple[str, float]]:
        """The hosts with the longest mean seconds per request, among those with `least` finished requests."""
        means = (
            (key, host.seconds / finished)
            for key, host in self.table.items()
            if (finished := host.requests - host.in_flight) >= least
        )
        return heapq.nlargest(count, means, key=lambda item: item[1])

    @property
    def requested_hosts(self) -> int:
        """Number of hosts that got a request."""
        return sum(1 for host in self.table.values() if host.requests)

    @property
    def any_answered(self) -> bool:
        """Whether any host has answered, or none was contacted."""
        contacted = [host for host in self.table.values() if host.requests]
        return not contacted or any(host.last_answer > float("-inf") for host in contacted)

    def pause(self, key: str, until: float) -> None:
        """Start no request to the host before `until`, as its Retry-After asks."""
        host = self.get(key)
        host.next_start = max(host.next_start, until)

    def record_outcome(self, key: str, *, image: bool) -> None:
        """Count one candidate of the host, and whether it gave a valid image."""
        host = self.get(key)
        host.candidates += 1
        self.candidates += 1
        host.images += image
        self.images += image

    @property
    def success_rate(self) -> float:
        """Estimated share of candidates that give an image (Laplace's rule: one success and one failure are added)."""
        return (self.images + 1) / (self.candidates + 2)

    def host_success_rate(self, key: str) -> float:
        """The same for one host, shrunk towards the overall rate while few of its candidates have an outcome."""
        host = self.get(key)
        return (host.images + _PRIOR * self.success_rate) / (host.candidates + _PRIOR)
