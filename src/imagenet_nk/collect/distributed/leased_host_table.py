"""The table of hosts as a worker sees it: it asks where the driver has permitted it, and reports what it meets."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from imagenet_nk.collect.distributed.protocol import HostOrders, Seen
from imagenet_nk.config import HttpConfig
from imagenet_nk.net.host_table import HOST_FAULTS, HostTable
from imagenet_nk.net.http import Response

_FIRST = 4  # permits to ask for where it has none; then twice as many as it has, while those do not do
_START_WITHIN_S = 0.5  # a permit for one request that is not used by then goes back


@dataclass(slots=True)
class Lease:
    """Permits for one host."""

    permits: int = 0  # requests that may be in flight at once
    idle: int = 0  # the fewest of them that were not in use since the last report
    most: int | None = None  # more than that go back
    starts: deque[float] = field(default_factory=deque)  # permits for one request each: not before
    once: int = 0  # of those, in flight
    back: int = 0  # to be returned


class LeasedHosts(HostTable):
    """Hosts whose limits, failures and pauses are those of the whole run.

    Whether a host is set aside or given up is decided by the driver, who hears of every failure; here it is only known.
    """

    def __init__(self, http: HttpConfig) -> None:
        super().__init__(http)
        self.fresh = False  # whether a permit is wanted that has not been asked for yet
        self._leases: dict[str, Lease] = {}
        self._faults: dict[str, str] = {}  # of the hosts given up
        self._wanted: set[str] = set()
        self._asked_in_vain: set[str] = set()
        self._seen: dict[str, Seen] = {}

    # --- what Hosts are asked for

    def ready(self, key: str, now: float) -> bool:
        """Whether a request may start now; if only a permit is missing, it is asked for with the next report."""
        if now < self.get(key).next_start:
            return False
        lease = self._leases.get(key)
        if lease is not None:
            if self._unused(key, lease) > 0 or (lease.starts and lease.starts[0] <= now):
                return True
            if lease.starts:
                return False
        self._wanted.add(key)
        self.fresh = self.fresh or key not in self._asked_in_vain
        return False

    def given_up(self, key: str) -> str:
        return self._faults.get(key, "")

    def started(self, key: str, now: float) -> None:  # noqa: ARG002 - the driver keeps the rates
        host, lease = self.get(key), self._leases[key]
        host.asked += 1
        host.in_flight += 1
        if self._unused(key, lease) < 0:  # it was none of the lasting ones
            lease.starts.popleft()
            lease.once += 1
        else:
            lease.idle = min(lease.idle, lease.permits - (host.in_flight - lease.once))

    def over(self, key: str, started: float, now: float) -> None:
        super().over(key, started, now)
        lease = self._leases[key]
        if lease.once:
            lease.once -= 1
            lease.back += 1
        self._seen.setdefault(key, Seen()).seconds += now - started

    def said(self, key: str, response: Response, started: float, now: float) -> None:
        host, seen = self.get(key), self._seen.setdefault(key, Seen())
        if response.fault not in HOST_FAULTS:
            host.last_answer = seen.answered = now
            seen.answers += 1
            seen.failures.clear()
        else:
            seen.failed += 1
            seen.failures.append((response.fault, started, now))

    def sent_away(self, key: str, fault: str, started: float, now: float) -> None:
        self.get(key).last_answer = now
        self._seen.setdefault(key, Seen()).failures.append((fault, started, now))
        super().pause(key, now + self.http.max_pause)

    def pause(self, key: str, until: float) -> None:
        super().pause(key, until)
        seen = self._seen.setdefault(key, Seen())
        seen.pause = max(seen.pause, until)

    def _unused(self, key: str, lease: Lease) -> int:
        most = lease.permits if lease.most is None else min(lease.permits, lease.most)
        return most - (self.get(key).in_flight - lease.once)

    # --- the talk with the driver

    def seen(self) -> dict[str, Seen]:
        """What was met since the last time, with its times as seconds ago; a pause as seconds from now."""
        now = time.monotonic()
        news, self._seen = self._seen, {}
        for seen in news.values():
            seen.failures = [(fault, now - began, now - ended) for fault, began, ended in seen.failures]
            seen.answered = None if seen.answered is None else now - seen.answered
            seen.pause = max(0.0, seen.pause - now) if seen.pause else 0.0
        return news

    def wanted(self) -> dict[str, int]:
        """Permits that were missed since the last time."""
        wanted, self._wanted = self._wanted, set()
        self._asked_in_vain, self.fresh = wanted, False
        return {key: max(_FIRST, self._leases[key].permits if key in self._leases else 0) for key in wanted}

    def returned(self) -> dict[str, int]:
        """Permits that were of no use since the last time, or that are to go back."""
        now = time.monotonic()
        returned = {}
        for key, lease in list(self._leases.items()):
            in_flight = self.get(key).in_flight - lease.once
            spare = lease.idle if lease.most is None else max(lease.idle, lease.permits - max(in_flight, lease.most))
            lease.permits -= spare
            lease.idle = lease.permits - in_flight
            while lease.starts and lease.starts[0] + _START_WITHIN_S < now:
                lease.starts.popleft()
                lease.back += 1
            if spare + lease.back:
                returned[key] = spare + lease.back
                lease.back = 0
            if not (lease.permits or lease.starts or lease.once):
                del self._leases[key]
        return returned

    def obey(self, orders: Mapping[str, HostOrders]) -> None:
        """Take in what the driver says of hosts."""
        now = time.monotonic()
        for key, order in orders.items():
            host = self.get(key)
            host.aside = order.aside
            host.next_start = now + order.wait if order.wait else host.next_start
            self._faults.pop(key, None)
            if order.fault:
                self._faults[key] = host.fault = order.fault
            if order.permits or order.starts:
                lease = self._leases.setdefault(key, Lease())
                lease.permits += order.permits
                lease.idle += order.permits
                lease.starts.extend(now + start for start in order.starts)
                self._asked_in_vain.discard(key)
            if key in self._leases:
                self._leases[key].most = order.most
