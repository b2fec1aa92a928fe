"""Sockets within the number of open files that the process may have (RLIMIT_NOFILE, see getrlimit(2))."""

from __future__ import annotations

import logging
import resource
from contextlib import suppress
from functools import cache

from imagenet_nk.config.collecting import HttpConfig

_FIRST_IN_FLIGHT, _LEAST_IN_FLIGHT = 128, 4


_NEWEST, _BUSY = 0.05, 0.25  # weight of the newest time; share of stall or deadline from which on it is too much


class CongestionWindow:
    """How many requests may be in flight: as many as are still answered, and get their bodies through, in good time.

    On a thin wire or a busy machine many at once would all be late, and good images would be lost to the deadline. The
    observed times drive additive increase and multiplicative decrease (as TCP does it, RFC 5681). While bodies already
    wait to be inspected, more in flight would only be held in memory.
    """

    def __init__(self, http: HttpConfig) -> None:
        self._most = connections_within_limit(http.concurrency)
        self.limit = float(min(self._most, _FIRST_IN_FLIGHT))
        self._http = http
        self._first_byte = self._body = 0.0  # seconds, moving averages

    @property
    def typical_latency(self) -> float:
        """Seconds that an answer takes at present, whole."""
        return self._first_byte + self._body

    def observe(self, first_byte: float, body: float, *, may_grow: bool = True) -> None:
        """Learn from an answer that came whole: seconds until its first byte, and from there to the last.

        `may_grow`: whether nothing else waits to be inspected.
        """
        self._first_byte += _NEWEST * (first_byte - self._first_byte)
        self._body += _NEWEST * (body - self._body)
        load = max(self._first_byte / self._http.first_byte_timeout, self._body / self._http.deadline)
        if load > _BUSY:
            self.limit = max(min(self._most, _LEAST_IN_FLIGHT), self.limit * 0.97)
        elif may_grow and load < _BUSY / 2:
            self.limit = min(self._most, self.limit + 1)


log = logging.getLogger(__name__)

_OTHERS = 64  # the ledger, images that are being written, the sources' files, what libraries hold
_LEAST_OTHERS = 32  # where descriptors are scarce; a run holds about 20
_EACH = 2  # of a connection: its socket, and a pair's worth while its name is looked up


def connections_within_limit(wanted: int) -> int:
    """As many of the wanted connections as there may be, at least 1. Raises the soft limit towards the hard one.

    Says so in the log, once, if they are fewer.
    """
    needed = _EACH * wanted + _OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _exceeds(needed, soft):
        with suppress(ValueError, OSError):  # some systems know a limit below the one that they name
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard if _exceeds(needed, hard) else needed, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not _exceeds(needed, soft):
        return wanted
    granted = max(1, (soft - max(_LEAST_OTHERS, min(_OTHERS, soft // 4))) // _EACH)
    _warn(granted, wanted, soft)
    return granted


@cache  # once: every part that opens connections asks
def _warn(granted: int, wanted: int, limit: int) -> None:
    log.warning("the limit of open files (ulimit -n, %d) holds connections down to %d of %d", limit, granted, wanted)


def _exceeds(number: int, limit: int) -> bool:
    return limit != resource.RLIM_INFINITY and number > limit
