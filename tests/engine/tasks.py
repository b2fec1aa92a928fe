# ruff: noqa: ARG001 - every task takes a shard and a channel
"""Tasks for tests of engines: functions of a module, so that a worker elsewhere can run them."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from imagenet_nk.engine.contract import Channel
from imagenet_nk.errors import EmptyClassError


def double(shard: int, channel: Channel) -> int:
    return 2 * shard


def report(shard: int, channel: Channel) -> int:
    """Sends three reports; returns the process that ran it."""
    for number in range(3):
        channel.send((shard, number))
    return os.getpid()


def die_once(mark: str, channel: Channel) -> str:
    """The first worker that gets here is killed in the middle of it, after one report."""
    channel.send("begun")
    try:
        Path(mark).touch(exist_ok=False)
    except FileExistsError:
        return "second try"
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


def die_always(shard: object, channel: Channel) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def no_images(shard: object, channel: Channel) -> None:
    raise EmptyClassError(["n01440764"])


def faulty(shard: object, channel: Channel) -> None:
    raise ZeroDivisionError("one over nothing")


def for_ever(shard: object, channel: Channel) -> None:
    while True:
        channel.send("still here")
        time.sleep(0.01)


def lacking(shard: object, channel: Channel) -> None:
    import no_such_module  # type: ignore[import-not-found]  # noqa: F401


def loaded(module: str, channel: Channel) -> bool:
    """Whether the worker had loaded a module before it was given anything."""
    return module in sys.modules
