from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_nk.net import retry_policy
from imagenet_nk.net.http import Response
from imagenet_nk.net.retry_policy import backoff_seconds, is_retryable, retry_after_seconds


@pytest.mark.parametrize(
    ("response", "again"),
    [
        (Response(429), True),
        (Response(500), True),
        (Response(503), True),
        (Response(0, fault="timeout"), True),
        (Response(0, fault="reset"), True),
        (Response(200, fault="too_slow"), False),
        (Response(503, fault="too_many_bytes"), False),
        (Response(0, fault="refused"), False),
        (Response(0, fault="no_dns"), False),
        (Response(404), False),
        (Response(410), False),
        (Response(200), False),
    ],
)
def test_is_retryable(response: Response, again: bool) -> None:
    assert is_retryable(response) is again


@pytest.mark.parametrize(
    ("status", "value", "seconds"),
    [
        (429, "7", 7.0),
        (503, " 120 ", 120.0),
        (503, "0", 0.0),
        (200, "7", 0.0),  # only where the status says that the server is busy
        (404, "7", 0.0),
        (429, "", 0.0),
        (429, "-7", 0.0),
        (429, "1.5", 0.0),
        (429, "soon", 0.0),
        (429, "\u0667", 0.0),  # a digit, but not in ASCII
        (429, "9" * 18, 1e9),
        (429, "9" * 400, 0.0),  # no number of seconds, so as if there were none
        (429, "Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        (429, "Wed, 21 Oct 99999 07:28:00 GMT", 0.0),
        (429, "Wed, 99 Oct 2015 99:28:00 GMT", 0.0),
    ],
)
def test_retry_after_in_seconds(status: int, value: str, seconds: float) -> None:
    assert retry_after_seconds(Response(status, headers={"retry-after": value})) == seconds


def test_retry_after_as_a_date() -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert 3500 < retry_after_seconds(Response(503, headers={"retry-after": at})) <= 3600


@given(st.text(max_size=60))
def test_any_retry_after_gives_a_number(value: str) -> None:
    assert retry_after_seconds(Response(429, headers={"retry-after": value})) >= 0


@given(st.text("WedOct 0123456789:+-GMTZ,", max_size=40))
def test_any_text_like_a_date_gives_a_number(value: str) -> None:
    assert retry_after_seconds(Response(429, headers={"retry-after": value})) >= 0


@pytest.mark.parametrize("tries", range(1, 7))
def test_backoff_doubles_within_its_jitter(tries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry_policy, "BACKOFF_S", 0.5)
    assert 0.25 * 2 ** (tries - 1) <= backoff_seconds(tries) <= 0.75 * 2 ** (tries - 1)
