"""Threads for blocking work: decoding, writing, a library to ask. Results come back to the loop that gave the work."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import Any

Work = Callable[[], Generator[None, None, Any]]

_MOST_AT_ONCE, _LONGEST_S = 16, 0.02  # pieces of work that a thread takes up together, and how long it goes on taking


class InspectionPool:
    """A few threads over one queue. Cheaper than an executor: no Future, no lock but the queues' own.

    Where much waits, a thread takes up several pieces of work and does them side by side, from one `yield` to the next:
    the same code over and over stays in the processor's caches, from which decoding an image drives out all else.
    """

    def __init__(self, count: int, wake: Callable[[], None]) -> None:
        """`wake` is called from a worker's thread whenever there is something to collect."""
        self._wake, self._count = wake, count
        self._given: queue.SimpleQueue[tuple[Any, Work] | None] = queue.SimpleQueue()
        self._ended: deque[tuple[Any, Any, Exception | None]] = deque()
        self._threads = [
            threading.Thread(target=self._run, name=f"inspect_{number}", daemon=True) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """How much work no thread has taken up yet."""
        return self._given.qsize()

    def give(self, ticket: Any, work: Work) -> None:
        """Have `work` done; what it returns comes out of ended() with the ticket."""
        self._given.put((ticket, work))

    def ended(self) -> list[tuple[Any, Any, Exception | None]]:
        """(ticket, result, exception) of what has ended since the last call."""
        return [self._ended.popleft() for _ in range(len(self._ended))]

    def close(self) -> None:
        """Drop what nobody has begun, and wait for what somebody has."""
        while not self._given.empty():
            self._given.get_nowait()
        for _ in self._threads:
            self._given.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (item := self._given.get()) is not None:
            going = self._begin(item)
            del item  # an idle thread holds no body
            while going:
                going = [(ticket, steps) for ticket, steps in going if self._advance_work(ticket, steps)]
            self._wake()

    def _begin(self, item: tuple[Any, Work] | None) -> list[tuple[Any, Generator[None, None, Any]]]:
        """Take the first step of a piece of work, and of more as long as enough is left for the other threads."""
        going, existing_ids, until = [], 0, time.monotonic() + _LONGEST_S
        while item is not None:
            ticket, work = item
            steps = work()
            if self._advance_work(ticket, steps):
                going.append((ticket, steps))
            existing_ids += 1
            more = existing_ids < _MOST_AT_ONCE and self._given.qsize() >= self._count and time.monotonic() < until
            item = self._next() if more else None
        return going

    def _next(self) -> tuple[Any, Work] | None:
        try:
            item = self._given.get_nowait()
        except queue.Empty:
            return None
        if item is None:
            self._given.put(None)  # the word to stop: it is heard when what is begun is done
        return item

    def _advance_work(self, ticket: Any, steps: Generator[None, None, Any]) -> bool:
        """Do one step of a piece of work; False when that was its end."""
        try:
            next(steps)
        except StopIteration as end:
            self._ended.append((ticket, end.value, None))
        except Exception as error:  # noqa: BLE001 - carried to the loop's thread, where it is raised again
            self._ended.append((ticket, None, error))
        else:
            return True
        return False


def single_step(function: Callable[[], Any]) -> Work:
    """A plain function as work."""

    def work() -> Generator[None, None, Any]:
        yield from ()
        return function()

    return work
