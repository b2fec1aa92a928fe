"""Sockets within the number of open files that the process may have (RLIMIT_NOFILE, see getrlimit(2))."""

from __future__ import annotations

import logging
import resource
from contextlib import suppress
from functools import cache

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
