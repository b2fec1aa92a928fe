"""Timeouts of a transfer, and the clock that they are measured by."""

from __future__ import annotations

import time

from imagenet_nk.config.collecting import HttpConfig

CHECK_INTERVAL_S = 0.1
MIN_BYTES_PER_S = 10_000  # an image of usual size, 100 kB, within the default deadline of 10 s


class LoopClock:
    """Seconds during which the loop ran.

    While it does not run (a busy machine, a laptop asleep) no server is late: its data may have arrived unread.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.missed = 0.0  # seconds that the last tick left out
        self._last = _system_seconds()

    def tick(self) -> float:
        """Advance by the time since the last tick; a long gap counts as a short one."""
        now = _system_seconds()
        passed = min(now - self._last, 2 * CHECK_INTERVAL_S)
        self.now += passed
        self.missed = now - self._last - passed
        self._last = now
        return self.now


def _system_seconds() -> float:
    """Seconds of a clock that also runs while the machine sleeps, where there is one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class TransferTimeout:
    """Timeouts of one transfer: its deadline, its first byte, and its least speed over each first_byte_timeout.

    The low-speed limit works like LOW_SPEED_LIMIT and LOW_SPEED_TIME of libcurl.
    """

    __slots__ = ("_deadline", "_first_byte", "_interval", "_started", "_window")

    def __init__(self, http: HttpConfig, first_byte: float, now: float) -> None:
        """`first_byte`: seconds until the first byte of a response."""
        self._deadline, self._interval, self._first_byte = http.deadline, http.first_byte_timeout, first_byte
        self._started = now
        self._window = (now, 0)  # start of the interval over which speed is measured, and the size by then

    def has_expired(self, now: float, *, answered: bool, size: int) -> bool:
        """Whether a limit is exceeded at `now`. `answered`: whether any header came; `size`: bytes of body so far."""
        if now - self._started >= self._deadline:
            return True
        if not answered:
            return now - self._started >= self._first_byte
        began, before = self._window
        if now - began < self._interval:
            return False
        self._window = (now, size)
        return size - before < MIN_BYTES_PER_S * self._interval
