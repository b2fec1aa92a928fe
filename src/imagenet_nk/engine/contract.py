"""The contract of an engine: a map over shards, somewhere, and a line from each task to the driver.

The *driver* is the process that the user started. It owns whatever all tasks share (a ledger, the table of hosts) as a
*desk*; a task reaches it by its *line*, one question and one answer at a time, and decides by itself when to ask. So
what a run costs the driver is that many exchanges, whatever they carry, and no state is anywhere else.
"""

from __future__ import annotations

import socket
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from imagenet_nk.errors import EngineError, ImageNetNkError

MAX_TRIES = 3  # workers that one shard may cost


class DriverGoneError(Exception):
    """The driver is gone, or has given this worker up: the task is to end, and nobody waits for its result."""


class Channel(Protocol):
    """A task's end of the line."""

    def exchange(self, report: Any) -> Any:
        """Hand in a report, get orders back. Both are pickled on the way. Raises HungUpError."""


class Coordinator(Protocol):
    """The driver's end of all lines. Called in the thread that iterates over map(), one call at a time."""

    def exchange(self, worker: str, report: Any) -> Any:
        """Answer a report. `worker` names one try of one shard."""

    def lost(self, worker: str) -> None:
        """This try is over without a result: its worker died, and will not call again. The shard is tried anew."""


Task = Callable[[Any, Channel], Any]  # (shard, line) -> result; a function of a module, so that it can be sent


def noop() -> None:
    """Nothing to do between two looks at the workers."""


def throttled(call: Callable[[], None], seconds: float) -> Callable[[], None]:
    """The same call, at most every so many seconds: workers may have something to say a thousand times a second."""
    last = 0.0

    def sometimes() -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            call()

    return sometimes


class Engine(Protocol):
    """Somewhere to run tasks. Nothing to inherit."""

    name: str
    here: bool  # whether its workers are on this machine, with the driver's devices

    def gpus(self) -> int:
        """GPUs that its workers could be given, one each; 0 where they are this machine's."""

    def workers(self, images: int) -> int:
        """Tasks to run at once for work on so many images, at least 1."""

    def get_ready(self, module: str, images: int) -> None:
        """Have tasks of a module begin sooner in a map to come, for work on so many images; returns at once."""

    def map(
        self,
        task: Task,
        shards: Sequence[Any],
        *,
        workers: int,
        desk: Coordinator | None = None,
        tick: Callable[[], None] = noop,
        gpus: float = 0,
    ) -> Iterator[tuple[int, Any]]:
        """Run the task on every shard; yields (shard number, result) as they end, at most `workers` at once.

        A shard whose worker dies is tried anew, up to MAX_TRIES times in all. `tick` is called a few times a second, in
        the caller's thread; what it or the desk raises ends the map and all its tasks. So does closing the iterator.
        `gpus`: what a task needs for itself. Raises EngineError if that cannot be had, and what a task raised: an
        ImageNetNkError with its own line.
        """

    def close(self) -> None:
        """Let go of workers and connections; map() may be called again."""


@dataclass(frozen=True)
class Success:
    """What a task returned."""

    value: Any


@dataclass(frozen=True)
class Failure:
    """What a task raised, without the exception itself: that may not come through a pickle."""

    kind: type[ImageNetNkError] | None  # None: a fault of the program
    text: str
    trace: str

    def error(self) -> Exception:
        """The exception to raise in the driver."""
        if self.kind is None:
            fault = RuntimeError(f"a worker failed: {self.text}")
            fault.add_note(self.trace)
            return fault
        error = self.kind.__new__(self.kind)  # its own __init__ may want other arguments than the text
        Exception.__init__(error, self.text)
        return error


def run_task(task: Task, shard: Any, line: Channel) -> Success | Failure:
    """Run a task where it is to run, and have its end as a value. A HungUpError passes."""
    try:
        return Success(task(shard, line))
    except DriverGoneError:
        raise
    except ModuleNotFoundError as error:
        lacks = f"a worker on {socket.gethostname()} has no module {error.name!r}: install there what is installed here"
        return Failure(EngineError, lacks, traceback.format_exc())
    except ImageNetNkError as error:
        return Failure(type(error), str(error), traceback.format_exc())
    except Exception as error:  # noqa: BLE001 - carried to the driver, where it is raised again
        return Failure(None, f"{type(error).__name__}: {error}", traceback.format_exc())


def value(end: Success | Failure) -> Any:
    """What the task returned; raises what it raised."""
    if isinstance(end, Failure):
        raise end.error()
    return end.value


class RetryCounter:
    """How often each shard was begun."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def begin(self, shard: int) -> str:
        """Count a try; returns its name. Raises EngineError if the shard has cost too many workers already."""
        tried = self._counts[shard] = self._counts.get(shard, 0) + 1
        if tried > MAX_TRIES:
            raise EngineError(
                f"{MAX_TRIES} workers died one after the other over the same piece of work (out of memory?); what was "
                f"kept so far is whole: fewer workers at once may do, such as engine.processes=1 or engine.workers=2"
            )
        return f"{shard}.{tried}"
