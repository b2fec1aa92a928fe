from __future__ import annotations

import threading

from imagenet_nk.collect.workers import Workers


def test_results_and_faults_come_back_with_their_tickets() -> None:
    woken = threading.Semaphore(0)
    workers = Workers(2, woken.release)
    for number in range(20):
        workers.give(number, lambda number=number: 1 / (number - 7))
    for _ in range(20):
        assert woken.acquire(timeout=10)
    ended = {ticket: (result, error) for ticket, result, error in workers.ended()}
    assert sorted(ended) == list(range(20))
    assert isinstance(ended[7][1], ZeroDivisionError)
    assert ended[8] == (1.0, None)
    assert workers.ended() == []
    workers.close()


def test_closing_drops_what_nobody_has_begun() -> None:
    began, go, done = threading.Event(), threading.Event(), list[int]()
    workers = Workers(1, lambda: None)
    workers.give(0, lambda: (began.set(), go.wait(10), done.append(0)))
    assert began.wait(10)
    for number in range(1, 5):
        workers.give(number, lambda number=number: done.append(number))
    assert workers.waiting == 4
    closing = threading.Thread(target=workers.close)
    closing.start()
    while workers.waiting > 1:  # what closing leaves is the word to stop
        pass
    go.set()
    closing.join(10)
    assert not closing.is_alive()
    assert done == [0]
