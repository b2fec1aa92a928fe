"""An engine whose workers are threads of the test, so that a test decides when one begins and when it vanishes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from imagenet_nk.engine.contract import ReportCallback, Task, ignore_report, noop


@dataclass
class Threads:
    """An engine of threads. `begin`: called in the thread of a worker before it starts, with its number."""

    count: int
    begin: Callable[[int], None] = lambda number: None
    name: str = "threads"
    is_local: bool = True

    def workers(self, images: int) -> int:
        return self.count

    def gpus(self) -> int:
        return 0

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
        messages: queue.SimpleQueue[tuple[int, str, Any]] = queue.SimpleQueue()

        def run(number: int, shard: Any) -> None:
            self.begin(number)
            try:
                messages.put((number, "end", task(shard, _Channel(number, messages))))
            except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
                messages.put((number, "error", error))

        for number in range(len(shards)):
            threading.Thread(target=run, args=(number, shards[number])).start()
        pending = len(shards)
        while pending:
            number, kind, content = messages.get()
            if kind == "report":
                on_report(number, content)
                tick()
                continue
            if kind == "error":
                raise content
            pending -= 1
            yield number, content

    def close(self) -> None:
        pass


@dataclass
class _Channel:
    number: int
    messages: queue.SimpleQueue[tuple[int, str, Any]]

    def send(self, report: Any) -> None:
        self.messages.put((self.number, "report", report))
