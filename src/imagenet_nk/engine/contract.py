"""The contract of an engine: a map over shards, somewhere, with reports of each task to the driver while it runs.

The *driver* is the process that the user started. Tasks get a shard and a channel; they send reports (rows, counts) and
return a result. Nothing flows back to a task, and no task knows of another.
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
    """The driver has ended or dropped this worker: the task should end, its result is not used."""


class Channel(Protocol):
    """The connection of a task to the driver."""

    def send(self, report: Any) -> None:
        """Send a report; it is pickled on the way. Raises DriverGoneError."""


Task = Callable[[Any, Channel], Any]  # (shard, channel) -> result; a function of a module, so that it can be sent
ReportCallback = Callable[[int, Any], None]  # (shard number, report), in the driver


def noop() -> None:
    """Do nothing; the default `tick`."""


def ignore_report(shard: int, report: Any) -> None:
    """Do nothing; the default `on_report`."""


def throttled(call: Callable[[], None], seconds: float) -> Callable[[], None]:
    """The same call, at most once in `seconds`."""
    last = 0.0

    def call_if_due() -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            call()

    return call_if_due


class Engine(Protocol):
    """Runs tasks. A protocol: nothing to inherit."""

    name: str
    is_local: bool  # whether its workers are on this machine, with the driver's devices

    def gpus(self) -> int:
        """GPUs that can be assigned to workers, one each; 0 if workers share this machine's."""

    def workers(self, images: int) -> int:
        """Tasks to run at once for work on so many images, at least 1."""

    def preload(self, module: str, images: int) -> None:
        """Import a module in future workers, for work on so many images; returns at once."""

    def map(
        self,
        task: Task,
        shards: Sequence[Any],
        *,
        workers: int,
        on_report: ReportCallback = ignore_report,
        tick: Callable[[], None] = noop,
        gpus: float = 0,
    ) -> Iterator[tuple[int, Any]]:
        """Run the task on every shard; yields (shard number, result) as they end, at most `workers` at once.

        A shard is taken out of `shards` when a try of it starts. If its worker dies it is tried again, up to MAX_TRIES
        times. `on_report` and `tick` (a few times a second) are called in the caller's thread; what they raise
        ends the map and all its tasks. So does closing the iterator. `gpus`: what a task needs for itself. Raises
        EngineError if that cannot be had, and what a task raised: an ImageNetNkError with its own line.
        """

    def close(self) -> None:
        """Release workers and connections; map() may be called again."""


@dataclass(frozen=True)
class Success:
    """What a task returned."""

    value: Any


@dataclass(frozen=True)
class Failure:
    """What a task raised, without the exception itself, which may not be picklable."""

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


def run_task(task: Task, shard: Any, channel: Channel) -> Success | Failure:
    """Run a task in its worker and return its outcome as a value. Raises DriverGoneError."""
    try:
        return Success(task(shard, channel))
    except DriverGoneError:
        raise
    except ModuleNotFoundError as error:
        text = f"a worker on {socket.gethostname()} has no module {error.name!r}: install there what is installed here"
        return Failure(EngineError, text, traceback.format_exc())
    except ImageNetNkError as error:
        return Failure(type(error), str(error), traceback.format_exc())
    except Exception as error:  # noqa: BLE001 - carried to the driver, where it is raised again
        return Failure(None, f"{type(error).__name__}: {error}", traceback.format_exc())


def unwrap(end: Success | Failure) -> Any:
    """What the task returned; raises what it raised."""
    if isinstance(end, Failure):
        raise end.error()
    return end.value


class RetryCounter:
    """How often each shard was started."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def start(self, shard: int) -> None:
        """Count a try. Raises EngineError if the shard has cost too many workers already."""
        tried = self._counts[shard] = self._counts.get(shard, 0) + 1
        if tried > MAX_TRIES:
            raise EngineError(
                f"{MAX_TRIES} workers died one after the other over the same piece of work (out of memory?); what was "
                f"kept so far is complete: use fewer workers, such as engine.processes=1 or engine.workers=2"
            )
