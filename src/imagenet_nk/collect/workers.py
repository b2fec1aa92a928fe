"""Threads for blocking work: decoding, writing, a library to ask. Results come back to the loop that gave the work."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

Work = Callable[[], Any]


class Workers:
    """A few threads over one queue. Cheaper than an executor: no Future, no lock but the queues' own."""

    def __init__(self, count: int, wake: Callable[[], None]) -> None:
        """`wake` is called from a worker's thread whenever there is something to collect."""
        self._wake = wake
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
        """Have `work` done; its result comes out of ended() with the ticket."""
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
            ticket, work = item
            try:
                self._ended.append((ticket, work(), None))
            except Exception as error:  # noqa: BLE001 - carried to the loop's thread, where it is raised again
                self._ended.append((ticket, None, error))
            del item, ticket, work  # an idle thread holds no body
            self._wake()
