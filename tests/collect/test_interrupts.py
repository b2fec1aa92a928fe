from __future__ import annotations

import os
import signal

import pytest

from imagenet_nk.collect.interrupts import defer_sigint


@pytest.fixture(autouse=True)
def _default_handler() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_first_sigint_is_raised_only_where_it_is_asked_for() -> None:
    reached = False
    with pytest.raises(KeyboardInterrupt), defer_sigint() as raise_if_interrupted:  # noqa: PT012
        raise_if_interrupted()
        os.kill(os.getpid(), signal.SIGINT)
        reached = True
        raise_if_interrupted()
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_second_sigint_is_raised_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), defer_sigint():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("it went on")


def test_sigint_that_is_never_asked_for_is_raised_at_the_end() -> None:
    with pytest.raises(KeyboardInterrupt), defer_sigint():
        os.kill(os.getpid(), signal.SIGINT)
