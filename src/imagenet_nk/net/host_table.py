"""How hard each host is asked, and whether it is worth asking. Bookkeeping over a clock that the caller reads."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from imagenet_nk.config import HttpConfig
from imagenet_nk.net.http import Response
from imagenet_nk.reasons import Reason

# Faults that speak of the host, not of one address on it.
HOST_FAULTS = frozenset({Reason.NO_DNS, Reason.REFUSED, Reason.TIMEOUT})
_FIRST_PROBE_S, _PROBE_GROWTH = 2.0, 2.0
_PROBES_NEVER_ANSWERED, _PROBES_ANSWERED = 1, 3  # failed ones, until a host is given up
_PRIOR = 5.0  # answers that the overall success rate counts for when a host's own is estimated


def unasked(fault: str, url: str) -> Response:
    """What an address is taken to answer whose host was given up for a fault."""
    status = fault.removeprefix("http_")
    return Response(int(status), final_url=url) if status != fault else Response(0, fault=fault, final_url=url)


@dataclass(slots=True)
class HostState:
    """State of one host:port."""

    asked: int = 0  # requests started
    in_flight: int = 0
    next_start: float = 0.0  # not before: rate limit, Retry-After, or the next probe
    failures: int = 0  # running
    last_answer: float = float("-inf")
    probes: int = 0  # failed ones since it was set aside
    aside: bool = False
    since: float = 0.0  # when it was set aside; what was in flight by then is no probe
    fault: str = ""  # of the last failure
    seconds: float = 0.0  # spent waiting for it, over all requests that ended
    images: float = 0  # candidates that gave a valid image
    ended: float = 0  # candidates that gave one or did not


@dataclass
class HostTable:
    """All hosts of a run."""

    http: HttpConfig
    table: dict[str, HostState] = field(default_factory=dict)
    images: float = 0
    ended: float = 0

    def get(self, key: str) -> HostState:
        if (host := self.table.get(key)) is None:
            host = self.table[key] = HostState()
        return host

    def ready(self, key: str, now: float) -> bool:
        """Whether a request may start now. A host that is set aside takes one at a time: a probe."""
        host = self.get(key)
        return now >= host.next_start and host.in_flight < (1 if host.aside else self.http.per_host)

    def given_up(self, key: str) -> str:
        """The fault for which the host's candidates are rejected unasked: it failed its probes as well. Else ""."""
        host = self.table.get(key)
        if host is None or not host.aside:
            return ""
        alive = host.last_answer > float("-inf") and host.fault in HOST_FAULTS  # else it says itself what it wants
        needed = _PROBES_ANSWERED if alive else _PROBES_NEVER_ANSWERED
        return host.fault if host.probes >= needed else ""

    def started(self, key: str, now: float) -> None:
        host = self.get(key)
        host.asked += 1
        host.in_flight += 1
        rate = self.http.host_rates.get(key.rpartition(":")[0], self.http.per_host_rate)
        if rate:
            host.next_start = max(host.next_start, now) + 1 / rate

    def over(self, key: str, started: float, now: float) -> None:
        """Note that a request that began at `started` is over, whatever it came to."""
        host = self.get(key)
        host.in_flight -= 1
        host.seconds += now - started

    def doubted(self, key: str, now: float) -> None:
        """Note that it is not known yet what a failure says. A probe's is not to be followed by the next at once."""
        host = self.get(key)
        if host.aside:
            host.next_start = max(host.next_start, now + _FIRST_PROBE_S)

    def said(self, key: str, response: Response, started: float, now: float) -> None:
        """Note what a request that began at `started` came to at `now`."""
        if response.fault not in HOST_FAULTS:
            self.answered_at(key, now)
        else:
            self.failed(key, response.fault, started, now)

    def answered_at(self, key: str, now: float) -> None:
        """Note that the host is alive, whatever it said."""
        host = self.get(key)
        host.failures, host.probes, host.aside, host.last_answer = 0, 0, False, now

    def failed(self, key: str, fault: str, started: float, now: float) -> None:
        """Note that a request that began at `started` met one of HOST_FAULTS."""
        host = self.get(key)
        if started > host.last_answer:  # else it answers others: this one is only a slow straggler from before
            host.failures += 1
            host.fault = fault
            if host.aside and started >= host.since:
                host.probes += 1
                host.next_start = now + _FIRST_PROBE_S * _PROBE_GROWTH**host.probes
            elif not host.aside and host.failures >= self.http.dead_host_after:
                host.aside, host.since, host.next_start = True, now, now + _FIRST_PROBE_S

    def sent_away(self, key: str, fault: str, started: float, now: float) -> None:
        """Note that a request that began at `started` was told to come again after more than http.max_pause.

        The host is set aside for that time; if a probe is told the same, it is given up.
        """
        host = self.get(key)
        if not host.aside:
            host.aside, host.since, host.probes = True, now, 0
        elif started >= host.since:
            host.probes += 1
        host.fault, host.last_answer = fault, now
        self.pause(key, now + self.http.max_pause)

    def slowest(self, count: int, least: int = 3) -> list[tuple[str, float]]:
        """The hosts with the longest mean seconds a request, of those with `least` requests ended."""
        means = (
            (key, host.seconds / ended)
            for key, host in self.table.items()
            if (ended := host.asked - host.in_flight) >= least
        )
        return heapq.nlargest(count, means, key=lambda item: item[1])

    @property
    def answered(self) -> bool:
        """Whether any host has answered, or none was asked."""
        asked = [host for host in self.table.values() if host.asked]
        return not asked or any(host.last_answer > float("-inf") for host in asked)

    def pause(self, key: str, until: float) -> None:
        """Start nothing at the host before `until`: it asked for that (Retry-After)."""
        host = self.get(key)
        host.next_start = max(host.next_start, until)

    def learn(self, key: str, *, image: bool) -> None:
        """Count what a candidate of the host came to."""
        host = self.get(key)
        host.ended += 1
        self.ended += 1
        host.images += image
        self.images += image

    @property
    def success(self) -> float:
        """Share of candidates so far that gave an image, from a prior of one half."""
        return (self.images + 1) / (self.ended + 2)

    def success_at(self, key: str) -> float:
        """The same for one host, drawn towards the overall rate while few of its candidates are known."""
        host = self.get(key)
        return (host.images + _PRIOR * self.success) / (host.ended + _PRIOR)
