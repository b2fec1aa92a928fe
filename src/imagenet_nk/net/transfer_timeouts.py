"""How long a transfer is waited for: pure rules over times that the caller reads."""

from __future__ import annotations

import math
import time

from imagenet_nk.config.collecting import HttpConfig

CHECK_INTERVAL_S = 0.1
MIN_BYTES_PER_S = 10_000  # an image of usual size, 100 kB, within the default deadline of 10 s
_SPANS = 4  # to a `stall`: how often the speed of a body is measured
_SLOW_SPANS = 3  # running, after which a body is given up that would not arrive in time
_FADES = 0.9  # what is left, after a span, of the best that the wire has brought: it may have become a thinner one
_CLEARLY = 1.5  # times the deadline: when a body is expected that would not arrive in time


class LoopClock:
    """Seconds that the loop has lived through. While it is not run (a busy machine, a laptop asleep) no server is late:
    what it has sent may long be waiting here.

    So a body that drips is kept if it came whole while the loop stood still: it is the right image, and whether it is
    quick enough is the one thing about it that cannot be known then.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.missed = 0.0  # seconds that the last tick did not count
        self._last = _outside()

    def tick(self) -> float:
        """Move on by what has passed since the last tick, a long gap counting as a short one."""
        now = _outside()
        passed = min(now - self._last, 2 * CHECK_INTERVAL_S)
        self.now += passed
        self.missed = now - self._last - passed
        self._last = now
        return self.now


def _outside() -> float:
    """Seconds by a clock that goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class BandwidthMonitor:
    """What all transfers together bring in, compared with the best they have brought of late."""

    def __init__(self, span: float) -> None:
        """`span`: seconds that one measurement takes."""
        self._span = span
        self._began, self._bytes = 0.0, 0
        self._best = self._latest = 0.0  # bytes a second

    def note(self, now: float, total: int) -> None:
        """Learn that `total` bytes have come so far, whatever became of them."""
        if now - self._began >= self._span:
            self._latest = (total - self._bytes) / (now - self._began)
            self._best = max(_FADES * self._best, self._latest)
            self._began, self._bytes = now, total

    @property
    def is_free(self) -> bool:
        """Whether there is room for much more: what is slow then is not so because of the others."""
        return self._latest < self._best / 2


class TransferTimeout:
    """Of one transfer."""

    __slots__ = ("_first_byte", "_http", "_slow", "_span", "_started", "_window")

    def __init__(self, http: HttpConfig, first_byte: float, now: float) -> None:
        """`first_byte`: seconds until the first byte of an answer."""
        self._http, self._first_byte = http, first_byte
        self._started = now
        self._window = (now, 0)  # when it began, with how many bytes: for the least speed
        self._span = (now, 0)  # the same, for the speed that a body is expected by
        self._slow = 0  # spans running in which it was too slow to arrive in time

    def is_over(self, now: float, *, answered: bool, size: int, length: int, wire_is_free: bool) -> bool:
        """Whether it is past its deadline, no byte has come for too long, too few have of late, or it is hopeless.

        `size`: bytes of body so far; `length`: of all, negative if not known.
        """
        if now - self._started >= self._http.deadline:
            return True
        if not answered:
            return now - self._started >= self._first_byte
        hopeless = self._is_hopeless(now, size, length, wire_is_free)
        began, before = self._window
        if now - began < self._http.first_byte_timeout:
            return hopeless
        self._window = (now, size)
        return hopeless or size - before < MIN_BYTES_PER_S * self._http.first_byte_timeout

    def extend(self, seconds: float) -> None:
        """Do not count so many seconds: it was kept from going on."""
        self._started += seconds
        self._window = (self._window[0] + seconds, self._window[1])
        self._span = (self._span[0] + seconds, self._span[1])

    def _is_hopeless(self, now: float, size: int, length: int, wire_is_free: bool) -> bool:
        """Whether it would be past its deadline in the end, long before it is.

        By its speed of late, not from the start, several times running, so that what gathers speed is let be; and not
        while the wire is full, for then it will be quicker when others are through.
        """
        began, before = self._span
        if not size:
            self._span = (now, 0)  # speed counts from the first byte on
        elif now - began >= self._http.first_byte_timeout / _SPANS:
            self._span = (now, size)
            speed = (size - before) / (now - began)
            left = max(0, length - size) / speed if speed else math.inf
            late = length > 0 and now - self._started + left > _CLEARLY * self._http.deadline
            self._slow = self._slow + 1 if late and wire_is_free else 0
        return self._slow >= _SLOW_SPANS
