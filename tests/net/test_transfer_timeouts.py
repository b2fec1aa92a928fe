"""Bodies as functions of time against the timeouts: nothing waits here."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from imagenet_nk.config import HttpConfig
from imagenet_nk.net.transfer_timeouts import CHECK_INTERVAL_S, TransferTimeout

HTTP = HttpConfig(first_byte_timeout=4.0, deadline=10.0)
LENGTH = 1_000_000


def expiry(body: Callable[[float], float]) -> float | None:
    """When a transfer expires whose body has so many bytes by a time; None if it completes."""
    timeout = TransferTimeout(HTTP, HTTP.first_byte_timeout, 0.0)
    for check in range(1, 1000):
        now = check * CHECK_INTERVAL_S
        size = int(min(LENGTH, body(now)))
        if size == LENGTH:
            return None
        if timeout.has_expired(now, answered=size > 0, size=size):
            return now
    raise AssertionError("it never expires")


@pytest.mark.parametrize("seconds", [2.0, 5.0, 9.5])
def test_body_that_completes_before_the_deadline_is_kept(seconds: float) -> None:
    assert expiry(lambda now: now / seconds * LENGTH) is None


def test_slow_body_expires_at_the_deadline() -> None:
    assert expiry(lambda now: now / 12 * LENGTH) == pytest.approx(HTTP.deadline)


def test_silence_expires_after_first_byte_timeout() -> None:
    assert expiry(lambda now: 0.0) == pytest.approx(HTTP.first_byte_timeout)


def test_trickle_below_the_least_speed_expires_after_first_byte_timeout() -> None:
    assert expiry(lambda now: 10.0) == pytest.approx(HTTP.first_byte_timeout)


def test_body_that_stops_expires_at_the_next_check_of_its_speed() -> None:
    assert expiry(lambda now: min(now, 1.0) * 100_000) == pytest.approx(2 * HTTP.first_byte_timeout)
