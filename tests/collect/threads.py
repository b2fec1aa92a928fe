"""An engine whose workers are threads of the test, so that a test decides when one begins and when it vanishes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from imagenet_nk.engine.contract import Coordinator, DriverGoneError, Task, noop


@dataclass
class Threads:
    """An engine of threads. `deaths`: workers that vanish after so many of their reports, and are tried anew. `begin`:
    called in the thread of a worker before it starts, with its number."""

    count: int
    deaths: list[int] = field(default_factory=list)
    begin: Callable[[int], None] = lambda number: None
    name: str = "threads"
    here: bool = True

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
        desk: Coordinator | None = None,
        tick: Callable[[], None] = noop,
        gpus: float = 0,
    ) -> Iterator[tuple[int, Any]]:
        lock, faults = threading.Lock(), []
        assert desk is not None

        def run(number: int) -> None:
            self.begin(number)
            for tried in range(3):
                line = _Line(f"{number}.{tried}", desk, lock, self.deaths.pop() if self.deaths else None)
                try:
                    task(shards[number], line)
                    return
                except DriverGoneError:
                    with lock:
                        desk.lost(line.worker)
                except BaseException as error:  # noqa: BLE001
                    faults.append(error)
                    return

        threads = [threading.Thread(target=run, args=(number,)) for number in range(len(shards))]
        for thread in threads:
            thread.start()
        for number, thread in enumerate(threads):
            thread.join()
            yield number, None
        if faults:
            raise faults[0]

    def close(self) -> None:
        pass


@dataclass
class _Line:
    worker: str
    desk: Coordinator
    lock: threading.Lock
    reports: int | None

    def exchange(self, report: Any) -> Any:
        if self.reports is not None:
            self.reports -= 1
            if self.reports < 0:
                raise DriverGoneError("dead")
        with self.lock:
            return self.desk.exchange(self.worker, report)
