from __future__ import annotations

import threading
from collections.abc import Generator
from functools import partial
from typing import Any

from imagenet_nk.collect.fetching.thread_pool import InspectionPool, single_step


def _all_ended(
    workers: InspectionPool, woken: threading.Semaphore, count: int
) -> list[tuple[Any, Any, Exception | None]]:
    completed: list[tuple[Any, Any, Exception | None]] = []
    while len(completed) < count:
        assert woken.acquire(timeout=10)
        completed += workers.completed()
    return completed


def test_results_and_errors_come_back_with_their_context() -> None:
    woken = threading.Semaphore(0)
    workers = InspectionPool(2, woken.release)
    for number in range(20):
        workers.submit(number, single_step(lambda number=number: 1 / (number - 7)))
    completed = {ticket: (result, error) for ticket, result, error in _all_ended(workers, woken, 20)}
    assert sorted(completed) == list(range(20))
    assert isinstance(completed[7][1], ZeroDivisionError)
    assert completed[8] == (1.0, None)
    assert workers.completed() == []
    workers.close()


def test_queued_work_is_run_in_turns() -> None:
    woken, go, log = threading.Semaphore(0), threading.Event(), list[tuple[str, int]]()

    def work(number: int) -> Generator[None, None, int]:
        log.append(("decode", number))
        if number == 2:
            raise ValueError(number)
        yield
        log.append(("hash", number))
        if number == 3:
            raise ValueError(number)
        yield
        log.append(("write", number))
        return number

    workers = InspectionPool(1, woken.release)
    workers.submit("first", single_step(lambda: go.wait(10)))
    while workers.waiting:
        pass
    for number in range(5):
        workers.submit(number, partial(work, number))
    go.set()
    completed = {ticket: (result, type(error)) for ticket, result, error in _all_ended(workers, woken, 6)}
    assert log == [
        *(("decode", number) for number in range(5)),
        *(("hash", number) for number in (0, 1, 3, 4)),
        *(("write", number) for number in (0, 1, 4)),
    ]
    assert completed[2] == completed[3] == (None, ValueError)
    assert [completed[number] for number in (0, 1, 4)] == [(number, type(None)) for number in (0, 1, 4)]
    workers.close()


def test_no_thread_takes_up_what_another_one_is_free_for() -> None:
    woken, together = threading.Semaphore(0), threading.Barrier(4)
    workers = InspectionPool(4, woken.release)
    for number in range(4):
        workers.submit(number, single_step(lambda: together.wait(10)))  # it breaks unless four threads come
    assert all(error is None for _, _, error in _all_ended(workers, woken, 4))
    workers.close()


def test_close_drops_work_that_has_not_begun() -> None:
    began, go, done = threading.Event(), threading.Event(), list[int]()
    workers = InspectionPool(1, lambda: None)
    workers.submit(0, single_step(lambda: (began.set(), go.wait(10), done.append(0))))
    assert began.wait(10)
    for number in range(1, 5):
        workers.submit(number, single_step(lambda number=number: done.append(number)))
    assert workers.waiting == 4
    closing = threading.Thread(target=workers.close)
    closing.start()
    while workers.waiting > 1:  # what closing leaves is the word to stop
        pass
    go.set()
    closing.join(10)
    assert not closing.is_alive()
    assert done == [0]
