"""When a failed request is worth another try, and how long to wait for it."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from imagenet_nk.net.http import Response
from imagenet_nk.reasons import Reason

BACKOFF_S = 0.5  # before the first retry: time for a restarting server or a burst of 429 to pass
MAX_PAUSE_S = 60.0  # longest Retry-After and outage that a run waits for; a longer one is left to the next run
_PASSING = frozenset({Reason.TIMEOUT, Reason.RESET})


def is_retryable(response: Response) -> bool:
    """Too many requests, a server's own fault, no answer in time, or a connection that broke.

    The last because one that was kept open may die just as it is used again, which says nothing of the address.
    Everything else will not be better next time.
    """
    return response.fault in _PASSING or (not response.fault and (response.status == 429 or response.status >= 500))


def retry_after_seconds(response: Response) -> float:
    """Seconds that a server asked to wait for (RFC 9110, 10.2.3: a number or a date); 0 if it did not."""
    value = response.headers.get("retry-after", "").strip()
    if response.status not in (429, 503) or not value:
        return 0.0
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def backoff_seconds(tries: int) -> float:
    """Seconds to wait before try number `tries` + 1: doubled each time, with jitter against simultaneous retries."""
    return BACKOFF_S * float(2 ** (tries - 1)) * random.uniform(0.5, 1.5)
