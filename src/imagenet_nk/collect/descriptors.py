"""Sockets within the number of open files that the process may have (RLIMIT_NOFILE, see getrlimit(2))."""

from __future__ import annotations

import resource
from contextlib import suppress

_OTHERS = 64  # the ledger, images that are being written, the sources' files, what libraries hold open
_EACH = 2  # of a connection: its socket, and a pair's worth while its name is looked up


def connections_within_limit(wanted: int) -> int:
    """As many of the wanted connections as there may be, at least 1. Raises the soft limit towards the hard one."""
    needed = _EACH * wanted + _OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _exceeds(needed, soft):
        with suppress(ValueError, OSError):  # some systems know a limit below the one that they name
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard if _exceeds(needed, hard) else needed, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, (soft - _OTHERS) // _EACH) if _exceeds(needed, soft) else wanted


def _exceeds(number: int, limit: int) -> bool:
    return limit != resource.RLIM_INFINITY and number > limit
