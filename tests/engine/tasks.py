# ruff: noqa: ARG001 - every task takes a shard and a line
"""Tasks for tests of engines: functions of a module, so that a worker elsewhere can run them."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from imagenet_nk.engine.contract import Channel
from imagenet_nk.errors import EmptyClassError


def double(shard: int, line: Channel) -> int:
    return 2 * shard


def talk(shard: int, line: Channel) -> tuple[Any, int]:
    """What the desk said to each of three reports, and who ran it."""
    return [line.exchange((shard, number)) for number in range(3)], os.getpid()


def die_once(mark: str, line: Channel) -> str:
    """The first worker that gets here is killed in the middle of it, after one report."""
    line.exchange("begun")
    try:
        Path(mark).touch(exist_ok=False)
    except FileExistsError:
        return "second try"
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


def die_always(shard: object, line: Channel) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def no_images(shard: object, line: Channel) -> None:
    raise EmptyClassError(["n01440764"])


def faulty(shard: object, line: Channel) -> None:
    raise ZeroDivisionError("one over nothing")


def for_ever(shard: object, line: Channel) -> None:
    while True:
        line.exchange("still here")


def lacking(shard: object, line: Channel) -> None:
    import no_such_module  # type: ignore[import-not-found]  # noqa: F401


def loaded(module: str, line: Channel) -> bool:
    """Whether the worker had loaded a module before it was given anything."""
    return module in sys.modules
