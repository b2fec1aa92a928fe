"""Which failed requests are tried again, and after how long."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from imagenet_nk.formats.numbers import parse_number
from imagenet_nk.net.http import Response
from imagenet_nk.reasons import Reason

BACKOFF_S = 0.5  # before the first retry: time for a restarting server or a burst of 429 to pass
MAX_PAUSE_S = 60.0  # longest Retry-After and outage that a run waits for; a longer one is left to the next run
_MOST_SECONDS = 10**9  # 30 years
_TRANSIENT = frozenset({Reason.TIMEOUT, Reason.RESET})


def is_retryable(response: Response) -> bool:
    """Whether to try again: after 429, 5xx, a timeout or a broken connection.

    A connection that was kept open may break just as it is used again, whatever the URL.
    """
    return response.fault in _TRANSIENT or (not response.fault and (response.status == 429 or response.status >= 500))


def retry_after_seconds(response: Response) -> float:
    """Seconds of the header Retry-After (RFC 9110, 10.2.3: a number or a date) of a 429 or 503; 0 without one, or for a
    malformed one."""
    value = response.headers.get("retry-after", "").strip()
    if response.status not in (429, 503) or not value:
        return 0.0
    if (seconds := parse_number(value)) is not None:
        return float(min(seconds, _MOST_SECONDS))
    try:
        at = parsedate_to_datetime(value)
        return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):  # OverflowError: years and time zones far away
        return 0.0


def backoff_seconds(tries: int) -> float:
    """Seconds to wait before try number `tries` + 1: doubled each time, with jitter against simultaneous retries."""
    return BACKOFF_S * float(2 ** (tries - 1)) * random.uniform(0.5, 1.5)
