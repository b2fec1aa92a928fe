"""Bodies as functions of time against the rules: nothing waits here."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from imagenet_nk.config import HttpConfig
from imagenet_nk.net.transfer_timeouts import CHECK_INTERVAL_S, BandwidthMonitor, TransferTimeout

HTTP = HttpConfig(first_byte_timeout=4.0, deadline=10.0)
LENGTH = 1_000_000


def given_up(
    body: Callable[[float], float], *, length: int = LENGTH, free: Callable[[float], bool] = lambda now: True
) -> float | None:
    """When a body is given up of which so many bytes have come by a time; None if it arrives."""
    patience = TransferTimeout(HTTP, HTTP.first_byte_timeout, 0.0)
    for look in range(1, 1000):
        now = look * CHECK_INTERVAL_S
        size = int(min(LENGTH, body(now)))
        if size == LENGTH:
            return None
        if patience.is_over(now, answered=size > 0, size=size, length=length, wire_is_free=free(now)):
            return now
    raise AssertionError("it is never over")


def steady(seconds: float, begins: float = 0.0) -> Callable[[float], float]:
    return lambda now: max(0.0, now - begins) / seconds * LENGTH


@pytest.mark.parametrize("factor", [0.2, 0.5, 0.8, 0.95])
def test_what_arrives_in_time_is_waited_for(factor: float) -> None:
    assert given_up(steady(factor * HTTP.deadline)) is None


def test_what_would_take_twice_as_long_is_given_up_long_before() -> None:
    assert (given_up(steady(2 * HTTP.deadline)) or 99) < HTTP.deadline / 2


def test_so_is_one_that_comes_in_pieces() -> None:
    assert (given_up(lambda now: int(now + 1) / 20 * LENGTH) or 99) < HTTP.deadline / 2


def test_what_is_little_too_slow_has_its_chance_until_the_deadline() -> None:
    assert given_up(steady(1.2 * HTTP.deadline)) == pytest.approx(HTTP.deadline)


def test_what_starts_slowly_and_gathers_speed_is_waited_for() -> None:
    assert given_up(lambda now: 10_000 * 2 ** (1.5 * now)) is None
    assert given_up(lambda now: 20_000 * now if now < 2.5 else 50_000 + 300_000 * (now - 2.5)) is None


def test_bursts_are_no_drip() -> None:
    assert given_up(lambda now: 125_000 * (1 + now // 1.2)) is None


@pytest.mark.parametrize("length", [-1, 0])
def test_without_a_length_there_is_nothing_to_expect(length: int) -> None:
    assert given_up(steady(20.0), length=length) == pytest.approx(HTTP.deadline)


def test_while_the_wire_is_full_nothing_is_expected() -> None:
    assert given_up(steady(20.0), free=lambda now: False) == pytest.approx(HTTP.deadline)


def test_silence_and_a_trickle_end_as_before() -> None:
    assert given_up(lambda now: 0.0) == pytest.approx(HTTP.first_byte_timeout)
    assert given_up(lambda now: 10.0, length=-1) == pytest.approx(HTTP.first_byte_timeout)


def test_time_that_it_was_held_does_not_count() -> None:
    patience = TransferTimeout(HTTP, HTTP.first_byte_timeout, 0.0)
    assert not patience.is_over(1.0, answered=True, size=1, length=LENGTH, wire_is_free=True)
    patience.extend(100.0)
    assert not patience.is_over(102.0, answered=True, size=300_000, length=LENGTH, wire_is_free=True)
    assert patience.is_over(110.0, answered=True, size=999_999, length=LENGTH, wire_is_free=True)


def test_a_wire_is_free_when_it_brings_much_less_than_it_did() -> None:
    wire = BandwidthMonitor(1.0)
    assert not wire.is_free  # it has not shown what it can
    total = 0
    for second, (speed, free) in enumerate([(100, False), (100, False), (60, False), (40, True), (90, False)], 1):
        total += speed
        wire.note(second - 0.5, 10**9)  # between two measurements nothing is learnt
        wire.note(float(second), total)
        assert wire.is_free is free


def test_a_wire_that_has_become_thin_is_full_again_after_a_while() -> None:
    wire = BandwidthMonitor(1.0)
    free = []
    for second in range(1, 12):
        wire.note(float(second), 1000 + 300 * (second - 1))
        free.append(wire.is_free)
    assert free == [False, *[True] * 4, *[False] * 6]
