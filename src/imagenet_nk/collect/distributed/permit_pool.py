"""Who may ask which host: the limits of the whole run, dealt out to its workers.

A permit is one request that a worker may have in flight to a host, until it returns it; never are more than
`http.per_host` out for one. Where a host has a rate, or is set aside and only probed, a permit is for one request, with
the time at which that may start. A dead worker's permits come back with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from imagenet_nk.collect.distributed.protocol import HostOrders, Seen
from imagenet_nk.net.host_table import HOST_FAULTS, HostTable

_AHEAD_S = 0.1  # how far ahead starts are given out: until the next report of who gets them
_PROBED_S = 1.0  # before a worker asks again for a host that another one is probing


class Permits:
    """`hosts` is the table of the whole run, over the clock of this process."""

    def __init__(self, hosts: HostTable) -> None:
        self.hosts = hosts
        self._held: dict[str, dict[str, int]] = {}  # by host, by worker
        self._holds: defaultdict[str, set[str]] = defaultdict(set)  # hosts by worker
        self._short: defaultdict[str, set[str]] = defaultdict(set)  # workers that were given too few, by host
        self._lacks: defaultdict[str, set[str]] = defaultdict(set)  # the same, hosts by worker
        self._news: defaultdict[str, set[str]] = defaultdict(set)  # hosts by worker that is to hear of them

    def out(self, host: str) -> int:
        """Permits that are with workers."""
        return sum(self._held.get(host, {}).values())

    def learn(self, seen: Mapping[str, Seen], now: float) -> None:
        """Take in what a worker has met at hosts."""
        for key, met in seen.items():
            host = self.hosts.get(key)
            was = host.aside, self.hosts.given_up(key)
            host.asked += met.answers + met.failed
            host.seconds += met.seconds
            if met.answered is not None and (at := now - met.answered) > host.last_answer:
                self.hosts.answered_at(key, at)
            for fault, began, ended in met.failures:
                note = self.hosts.failed if fault in HOST_FAULTS else self.hosts.sent_away
                note(key, fault, now - began, now - ended)
            if met.pause:
                self.hosts.pause(key, now + met.pause)
            if met.pause or was != (host.aside, self.hosts.given_up(key)):
                for worker in self._held.get(key, ()):
                    self._news[worker].add(key)

    def take_back(self, worker: str, returned: Mapping[str, int]) -> None:
        """Note permits that a worker returns."""
        for key, count in returned.items():
            left = self._held.get(key, {}).get(worker, 0) - count
            if left > 0:
                self._held[key][worker] = left
            else:
                self._drop(worker, key)

    def lost(self, worker: str) -> None:
        """Take back all that a worker holds."""
        for key in list(self._holds.pop(worker, ())):
            self._drop(worker, key)
        for key in self._lacks.pop(worker, ()):
            self._short[key].discard(worker)
        self._news.pop(worker, None)

    def orders(self, worker: str, wanted: Mapping[str, int], now: float) -> dict[str, HostOrders]:
        """Answer what a worker asks for, and tell it what has changed with hosts for which it holds permits."""
        for key in self._lacks.pop(worker, ()):
            self._short[key].discard(worker)
            if not self._short[key]:
                del self._short[key]
        orders = {key: self._grant(worker, key, count, now) for key, count in wanted.items()}
        contended = {key for key in self._short if worker in self._held.get(key, ())}
        for key in (self._news.pop(worker, set()) | contended) - orders.keys():
            orders[key] = self._standing(worker, key, now)
        return orders

    def _standing(self, worker: str, key: str, now: float) -> HostOrders:
        """How things are with a host, and whether the worker has more of it than is fair."""
        host = self.hosts.get(key)
        most = 0 if host.aside else self._share(key, worker) if self._short.get(key) else None
        wait = max(0.0, host.next_start - now) if host.aside or not self._rate(key) else 0.0
        return HostOrders(wait=wait, most=most, aside=host.aside, fault=self.hosts.given_up(key))

    def _grant(self, worker: str, key: str, count: int, now: float) -> HostOrders:
        order, host = self._standing(worker, key, now), self.hosts.get(key)
        if order.wait:
            return order
        limit = 1 if host.aside else self.hosts.http.per_host
        given = min(count, limit - self.out(key))
        if self._short.get(key):
            given = min(given, self._share(key, worker) - self._held.get(key, {}).get(worker, 0))
        rate = self._rate(key)
        if given > 0 and (rate or host.aside):
            order.starts = self._starts(key, given, rate, now)
            given = len(order.starts)
        elif given > 0:
            order.permits = given
        if given > 0:
            held = self._held.setdefault(key, {})
            held[worker] = held.get(worker, 0) + given
            self._holds[worker].add(key)
        elif host.aside:
            order.wait = _PROBED_S
        elif rate:
            order.wait = max(0.0, host.next_start - now - _AHEAD_S)
        if given < count and not (host.aside or rate):
            self._short[key].add(worker)
            self._lacks[worker].add(key)
        return order

    def _starts(self, key: str, count: int, rate: float | None, now: float) -> list[float]:
        """When single requests may start, in seconds from now: a probe at once, others as the host's rate has it."""
        host, starts = self.hosts.get(key), list[float]()
        while len(starts) < count and (at := max(host.next_start, now)) - now < _AHEAD_S:
            starts.append(at - now)
            host.next_start = at + (1 / rate if rate else 0)
            if host.aside:
                break
        return starts

    def _share(self, key: str, worker: str) -> int:
        """What is fair while several want a host."""
        return max(1, self.hosts.http.per_host // len({worker, *self._held.get(key, ()), *self._short.get(key, ())}))

    def _rate(self, key: str) -> float | None:
        http = self.hosts.http
        return http.host_rates.get(key.rpartition(":")[0], http.per_host_rate)

    def _drop(self, worker: str, key: str) -> None:
        if held := self._held.get(key):
            held.pop(worker, None)
        if not held:
            self._held.pop(key, None)
        if worker in self._holds:
            self._holds[worker].discard(key)
