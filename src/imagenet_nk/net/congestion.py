"""How many requests may be in flight: a congestion window, within the limit of open files (RLIMIT_NOFILE)."""

from __future__ import annotations

import logging
import resource
from functools import cache

from imagenet_nk.config.collecting import HttpConfig

log = logging.getLogger(__name__)

_INITIAL_WINDOW, _MIN_WINDOW = 128, 4  # requests
_WEIGHT = 0.05  # of the newest value in the moving averages
_HIGH_LOAD = 0.25  # share of first_byte_timeout or deadline above which the window shrinks
_OTHER_FILES = 64  # descriptors for the ledger, images that are being written, files of sources, libraries
_MIN_OTHER_FILES = 32  # where descriptors are scarce; a run holds about 20
_FILES_PER_CONNECTION = 2  # the socket, and those open while a name is looked up


class CongestionWindow:
    """How many requests may be in flight, so that responses and their bodies still arrive in good time.

    On a slow connection or a busy machine too many at once would all be late, and good images would be lost to the
    deadline. Observed times drive additive increase and multiplicative decrease, as in TCP (RFC 5681).
    """

    def __init__(self, http: HttpConfig) -> None:
        self._max = connections_within_limit(http.concurrency)
        self.limit = float(min(self._max, _INITIAL_WINDOW))
        self._http = http
        self._first_byte = self._body = 0.0  # seconds, moving averages

    @property
    def typical_latency(self) -> float:
        """Seconds that a complete response takes at present."""
        return self._first_byte + self._body

    def observe(self, first_byte: float, body: float, *, may_grow: bool = True) -> None:
        """Learn from a complete response: seconds until its first byte, and from there to the last.

        `may_grow`: false while bodies wait for inspection, since more of them would only fill the memory.
        """
        self._first_byte += _WEIGHT * (first_byte - self._first_byte)
        self._body += _WEIGHT * (body - self._body)
        load = max(self._first_byte / self._http.first_byte_timeout, self._body / self._http.deadline)
        if load > _HIGH_LOAD:
            self.limit = max(min(self._max, _MIN_WINDOW), self.limit * 0.97)
        elif may_grow and load < _HIGH_LOAD / 2:
            self.limit = min(self._max, self.limit + 1)


def connections_within_limit(requested: int) -> int:
    """As many of the requested connections as the limit of open files allows, at least 1; logs once if fewer."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY or _FILES_PER_CONNECTION * requested + _OTHER_FILES <= limit:
        return requested
    other_files = max(_MIN_OTHER_FILES, min(_OTHER_FILES, limit // 4))
    allowed = max(1, (limit - other_files) // _FILES_PER_CONNECTION)
    _warn(allowed, requested, limit)
    return allowed


@cache  # one warning, though every part that opens connections asks
def _warn(allowed: int, requested: int, limit: int) -> None:
    log.warning("the limit of open files (ulimit -n, %d) holds connections down to %d of %d", limit, allowed, requested)
