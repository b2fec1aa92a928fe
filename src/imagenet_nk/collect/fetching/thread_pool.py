"""Threads for blocking work: decoding, writing, calls of libraries. Results come back to the loop that submitted it."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import Any

Work = Callable[[], Generator[None, None, Any]]

_MAX_BATCH, _MAX_BATCH_S = 16, 0.02  # work that a thread takes up together: how much, and for how long it takes more


class InspectionPool:
    """A few threads over one queue. Cheaper than an executor: no futures, no locks but those of the queues.

    If much is queued, a thread takes several pieces of work and runs them in turns, from `yield` to `yield`: so the
    code of one step stays in the processor's caches while it runs for several images.
    """

    def __init__(self, count: int, wake: Callable[[], None]) -> None:
        """`wake` is called from a thread of the pool whenever work has been completed."""
        self._wake, self._count = wake, count
        self._queue: queue.SimpleQueue[tuple[Any, Work] | None] = queue.SimpleQueue()
        self._completed: deque[tuple[Any, Any, Exception | None]] = deque()
        self._threads = [
            threading.Thread(target=self._run, name=f"inspect_{number}", daemon=True) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """How much work no thread has begun."""
        return self._queue.qsize()

    def submit(self, context: Any, work: Work) -> None:
        """Queue work; its result comes out of completed() with the context."""
        self._queue.put((context, work))

    def completed(self) -> list[tuple[Any, Any, Exception | None]]:
        """(context, result, exception) of what was completed since the last call."""
        return [self._completed.popleft() for _ in range(len(self._completed))]

    def close(self) -> None:
        """Drop work that has not begun, and wait for the rest."""
        while not self._queue.empty():
            self._queue.get_nowait()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            active = self._begin(item)
            del item  # an idle thread keeps no body in memory
            while active:
                active = [(context, steps) for context, steps in active if self._advance_work(context, steps)]
            self._wake()

    def _begin(self, item: tuple[Any, Work] | None) -> list[tuple[Any, Generator[None, None, Any]]]:
        """Run the first step of a piece of work, and of more while enough is left for the other threads."""
        active, started, until = [], 0, time.monotonic() + _MAX_BATCH_S
        while item is not None:
            context, work = item
            steps = work()
            if self._advance_work(context, steps):
                active.append((context, steps))
            started += 1
            more = started < _MAX_BATCH and self._queue.qsize() >= self._count and time.monotonic() < until
            item = self._next() if more else None
        return active

    def _next(self) -> tuple[Any, Work] | None:
        try:
            item = self._queue.get_nowait()
        except queue.Empty:
            return None
        if item is None:
            self._queue.put(None)  # it says to stop, after what has begun
        return item

    def _advance_work(self, context: Any, steps: Generator[None, None, Any]) -> bool:
        """Run one step of a piece of work; False if it was the last."""
        try:
            next(steps)
        except StopIteration as end:
            self._completed.append((context, end.value, None))
        except Exception as error:  # noqa: BLE001 - carried to the loop's thread, where it is raised again
            self._completed.append((context, None, error))
        else:
            return True
        return False


def single_step(function: Callable[[], Any]) -> Work:
    """A plain function as work."""

    def work() -> Generator[None, None, Any]:
        yield from ()
        return function()

    return work
