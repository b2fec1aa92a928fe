"""Whether the web is there at all: what fails while nothing on it answers says nothing of the address that was asked.

A failure is held until something answers after it. It counts, unless the web was gone meanwhile: then the address is
asked again. Where little else is asked, a witness is: a host that answered before.
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

# Faults of a moment; the others take long.
_AT_ONCE = frozenset({Reason.REFUSED, Reason.NO_DNS, Reason.RESET, Reason.TRUNCATED})
_GONE_S = 2.0  # without an answer, from when one should have come: the web was gone
_SOON_S, _AGAIN_S = 0.1, 1.0  # without an answer until a witness is asked for a failure; between two of them
REPEATS = 3  # of a request for the web's sake
_LEAST_ASKED = 5  # witnesses, before the web is gone for good
_WITNESSES = 8  # of different hosts


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """A question whose answer only says that the web is there."""

    host: str
    url: str
    started: float = 0.0  # by the clock of whoever asks


@dataclass(frozen=True, slots=True)
class HeldFailure:
    """Held: a ticket of the caller's with the response that it has come to."""

    ticket: Any
    response: Response
    began: float
    ended: float
    again: bool  # it was asked again already for the web's sake


class ConnectivityMonitor:
    """Of the web, as one reader sees it. All times are in seconds of `now`, which stands still while the loop does."""

    def __init__(self, http: HttpConfig) -> None:
        self._http = http
        self._clock = LoopClock()
        self._answered = self._alive = 0.0  # when a whole answer came last, and any part of one
        self._missed = math.inf  # since then: when one should have come at first
        self._in_vain = 0  # since then: witnesses that were asked
        self._failed = False  # since then: whether one of them failed
        self._back = -math.inf  # when an answer came last after the web was gone
        self._held: list[HeldFailure] = []
        self._settled: list[tuple[HeldFailure, bool]] = []
        self._witnesses: OrderedDict[str, str] = OrderedDict()  # addresses by host, the next one to ask first
        self._strangers: OrderedDict[str, str] = OrderedDict()  # the same of who failed: as long as there are no others
        self._asked = -math.inf  # when one was asked last

    @property
    def has_held(self) -> bool:
        """Whether a failure is held."""
        return bool(self._held)

    @property
    def now(self) -> float:
        return self._clock.now

    def tick(self) -> None:
        self._clock.tick()
        if self._clock.missed >= _GONE_S:  # connections may have died meanwhile
            self._back = self.now
        if self._held and self._knows_nobody:
            self._settle(sure=True)  # there is nothing to compare with: whoever runs all this will say so

    def should_hold(self, response: Response) -> bool:
        """Whether a response is a failure that the web's absence may explain."""
        return response.fault in TRANSIENT_FAULTS and not self._knows_nobody

    @property
    def _knows_nobody(self) -> bool:
        """Whether there is no witness, and none has turned up for long."""
        return not self._witnesses and self.now - self._missed >= self._http.deadline

    def hold(
        self, ticket: Any, response: Response, seconds: float, *, again: bool, host: str = "", url: str = ""
    ) -> None:
        """Hold a failure that took so long; it comes out of settled(). `url`: its address, if it may be a witness."""
        if url and not self._witnesses:
            remember(self._strangers, host, url)
        self._held.append(HeldFailure(ticket, response, self.now - seconds, self.now, again))
        self._missed = min(self._missed, self.now)

    def on_response(self, response: Response, host: str, url: str = "") -> None:
        """Take in how a request ended. `url`: its address, if that may be asked again as a witness."""
        if response.status:
            self._alive = self.now
        if response.fault in TRANSIENT_FAULTS:
            return
        if self._failed or self.now - self._missed >= _GONE_S:
            self._back = self.now
        self._settle(sure=False)
        self._answered = self._alive = self.now
        self._missed, self._in_vain, self._failed = math.inf, 0, False
        self._strangers.clear()
        if url:
            remember(self._witnesses, host, url)

    def _settle(self, *, sure: bool) -> None:
        silent = self.now - self._answered >= _GONE_S
        for failure in self._held:
            doubtful = silent and not failure.again and failure.response.fault not in _AT_ONCE
            self._settled.append((failure, sure or not (doubtful or self._back > failure.began)))
        self._held.clear()

    def drain_resolved(self) -> list[tuple[HeldFailure, bool]]:
        """The failures of which more is known by now, and whether the web was there meanwhile."""
        settled, self._settled = self._settled, []
        return settled

    def witnesses(self, late_after: float) -> list[ProbeTarget]:
        """Of whom one is to be asked now; none while it is not so long that nobody has answered.

        `late_after`: seconds that are longer than usual.
        """
        patience = late_after if not self._held else _AGAIN_S if self._in_vain else _SOON_S
        if self.now - max(self._answered, self._asked) < patience:
            return []
        return [ProbeTarget(host, url) for host, url in (self._witnesses or self._strangers).items()]

    def asked(self, witness: ProbeTarget) -> None:
        """Note that a witness was asked; the others have their turn before it has again."""
        (self._witnesses or self._strangers).move_to_end(witness.host)
        self._asked = self.now
        self._missed = min(self._missed, self.now)
        self._in_vain += 1

    def heard(self, witness: ProbeTarget, response: Response) -> None:
        """Take in what a witness said."""
        self._failed = self._failed or response.fault in TRANSIENT_FAULTS
        self.on_response(response, witness.host)

    @property
    def is_offline(self) -> bool:
        """Whether nothing has answered for so long, however often it was asked, that there is no use in waiting."""
        if not self._held or not self._witnesses or self._in_vain < _LEAST_ASKED:
            return False
        return self.now - max(self._alive, self._held[0].ended) >= retry_policy.MAX_PAUSE_S


def remember(addresses: OrderedDict[str, str], host: str, url: str) -> None:
    """Keep an address of a host, and only as many as are of use."""
    addresses[host] = url
    if len(addresses) > _WITNESSES:
        addresses.popitem(last=False)


class ConnectivityProber:
    """Asks witnesses, within the limits of their hosts."""

    def __init__(self, web: ConnectivityMonitor, hosts: HostTable, transport: Transport) -> None:
        self._web, self._hosts, self._transport = web, hosts, transport

    def ask(self, late_after: float) -> None:
        """Ask one if the web has been silent for longer than it should."""
        now = time.monotonic()
        for witness in self._web.witnesses(late_after):
            if self._hosts.can_start(witness.host, now):
                self._hosts.acquire(witness.host, now)
                self._web.asked(witness)
                # Not the address itself: that would be an image fetched twice. Whatever is said of this one will do.
                asked = Request(robots_url(witness.url), 0, 0, follow=False)
                self._transport.submit(asked, replace(witness, started=now))
                break

    def heard(self, witness: ProbeTarget, response: Response) -> None:
        """Take in what one said."""
        now = time.monotonic()
        self._hosts.release(witness.host, witness.started, now)
        self._web.heard(witness, response)
        if response.fault not in HOST_FAULTS:
            self._hosts.on_response(witness.host, response, witness.started, now)
