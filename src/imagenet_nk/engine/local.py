"""`engine=local`: this process alone, or processes of this machine, each with a pipe to the driver."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import (
    connection,
    forkserver,
    get_all_start_methods,
    get_context,
    get_start_method,
    resource_tracker,
    set_start_method,
)
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from imagenet_nk.engine.contract import (
    DriverGoneError,
    Failure,
    ReportCallback,
    RetryCounter,
    Success,
    Task,
    ignore_report,
    noop,
    run_task,
    throttled,
    unwrap,
)
from imagenet_nk.engine.cpu_count import cores

_SAFE_PATH = "PYTHONSAFEPATH"  # environment variable
_TICK_S = 0.2
_EXIT_TIMEOUT_S = 2.0  # for a worker to end by itself
_MIN_IMAGES = 500  # below it further processes cost more than they gain: benchmarks/engines.py
_MAX_PROCESSES = 4  # two fetch and decode what a connection of 1 Gbit/s brings, and each holds some 50 MB
_PIPE_CLOSED = (EOFError, OSError)  # what a pipe raises whose other end is closed
# Forking this process, with threads of libcurl or torch, would copy their locks without the threads. A fork server that
# has only imported modules may be forked, but not with Apple's libraries.
_FORKS = sys.platform == "linux"


class Local:
    """Processes of this machine."""

    name, is_local = "local", True

    def __init__(self, processes: int | None = None) -> None:
        """`processes`: null = one per core, up to 4, for enough images, else this process alone."""
        self.processes = processes

    def gpus(self) -> int:
        return 0

    def workers(self, images: int) -> int:
        if self.processes is not None:
            return self.processes
        if images < _MIN_IMAGES or multiprocessing.current_process().daemon:  # which may have no children
            return 1
        return min(cores(), _MAX_PROCESSES)

    def preload(self, module: str, images: int) -> None:
        if _FORKS and self.workers(images) > 1:
            forkserver.set_forkserver_preload([module])
            with suppress(OSError), _sigint_blocked():
                forkserver.ensure_running()

    def map(
        self,
        task: Task,
        shards: Sequence[Any],
        *,
        workers: int,
        on_report: ReportCallback = ignore_report,
        tick: Callable[[], None] = noop,
        gpus: float = 0,  # noqa: ARG002 - they are this machine's, and the task finds them by itself
    ) -> Iterator[tuple[int, Any]]:
        if workers == 1:
            return _run_inline(task, shards, on_report, tick)
        return _Pool(task, shards, min(workers, len(shards)), on_report).run(tick)

    def close(self) -> None:
        """No worker outlives a map; the fork server ends with this process."""


# --- this process


@dataclass(frozen=True)
class _DirectChannel:
    shard: int
    on_report: ReportCallback
    tick: Callable[[], None]

    def send(self, report: Any) -> None:
        self.tick()
        self.on_report(self.shard, report)


def _run_inline(
    task: Task, shards: Sequence[Any], on_report: ReportCallback, tick: Callable[[], None]
) -> Iterator[tuple[int, Any]]:
    for number, shard in enumerate(shards):
        yield number, task(shard, _DirectChannel(number, on_report, tick))
        tick()


# --- other processes


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    shard: int = -1  # the current one


class _Pool:
    """The driver's side: one pipe to each process, all served by one thread."""

    def __init__(self, task: Task, shards: Sequence[Any], workers: int, on_report: ReportCallback) -> None:
        self._task, self._shards, self._on_report = task, shards, on_report
        self._max_workers = workers
        self._pending = deque(range(len(shards)))
        self._retries = RetryCounter()
        self._workers: dict[Connection, _Worker] = {}

    def run(self, tick: Callable[[], None]) -> Iterator[tuple[int, Any]]:
        tick = throttled(tick, _TICK_S)
        try:
            while self._pending or self._workers:
                while self._pending and len(self._workers) < self._max_workers:
                    worker = _start_worker()
                    self._workers[worker.pipe] = worker
                    self._assign(worker)
                for pipe in connection.wait(list(self._workers), timeout=_TICK_S):
                    yield from self._receive(self._workers[pipe])  # type: ignore[index]
                tick()
        finally:
            self._shutdown_all()

    def _assign(self, worker: _Worker) -> None:
        """Send a worker the next shard, or end it if there is none."""
        if not self._pending:
            self._shutdown(worker)
            return
        worker.shard = self._pending.popleft()
        self._retries.start(worker.shard)
        try:
            worker.pipe.send((self._task, self._shards[worker.shard]))
        except _PIPE_CLOSED:
            self._on_death(worker)

    def _receive(self, worker: _Worker) -> Iterator[tuple[int, Any]]:
        """Take a message of a worker: a report, or the end of its shard."""
        try:
            message = worker.pipe.recv()
        except _PIPE_CLOSED:
            self._on_death(worker)
            return
        if not isinstance(message, Success | Failure):
            self._on_report(worker.shard, message)
            return
        shard = worker.shard
        result = unwrap(message)
        self._assign(worker)
        yield shard, result

    def _on_death(self, worker: _Worker) -> None:
        self._pending.appendleft(worker.shard)
        self._shutdown(worker)

    def _shutdown(self, worker: _Worker) -> None:
        del self._workers[worker.pipe]
        worker.pipe.close()  # the worker ends when it meets that
        worker.process.join(_EXIT_TIMEOUT_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.process.close()

    def _shutdown_all(self) -> None:
        for pipe in self._workers:
            pipe.close()
        for worker in list(self._workers.values()):
            self._shutdown(worker)


def _start_worker() -> _Worker:
    """A worker that waits for its first shard."""
    if get_start_method(allow_none=True) not in (None, *get_all_start_methods()):
        set_start_method("spawn", force=True)  # joblib's processes have one of their own, which their children lack
    if _FORKS:
        # Its socket cannot be made (TMPDIR is missing, too long or full), or it was killed.
        with suppress(*_PIPE_CLOSED):
            with _sigint_blocked():
                forkserver.ensure_running()
            return _spawn(get_context("forkserver"))
    with _sigint_blocked():
        return _spawn(get_context("spawn"))


def _spawn(context: Any) -> _Worker:
    ours, theirs = context.Pipe()
    process = context.Process(target=_worker_main, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Processes started within the block ignore Ctrl-C, which the whole process group gets: the driver handles it. They
    do not import from the current folder either, as `python -c` would."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    was, before = os.environ.get(_SAFE_PATH), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        os.environ[_SAFE_PATH] = "1"
        resource_tracker.ensure_running()  # its start unblocks SIGINT
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if was is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = was


class _PipeChannel:
    """The worker's end of its pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def send(self, report: Any) -> None:
        try:
            self._pipe.send(report)
        except _PIPE_CLOSED as error:
            raise DriverGoneError("the driver has ended") from error


def _worker_main(pipe: Connection) -> None:
    """Run one shard after the other, until the driver closes the pipe or ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    channel = _PipeChannel(pipe)
    with suppress(DriverGoneError, *_PIPE_CLOSED):
        while True:
            task, shard = pipe.recv()
            pipe.send(run_task(task, shard, channel))
    # A thread that a library left behind must not keep alive a worker whose driver has ended.
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            os._exit(0)
