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
    Coordinator,
    DriverGoneError,
    Failure,
    RetryCounter,
    Success,
    Task,
    noop,
    run_task,
    throttled,
    value,
)
from imagenet_nk.engine.cpu_count import cores

_SAFE_PATH = "PYTHONSAFEPATH"  # environment variable
_TICK_S = 0.2
_PATIENCE_S = 2.0  # that a worker has for ending by itself
_WORTH_IT = 500  # images from which on further processes earn their start: benchmarks/engines.py
_ENOUGH = 4  # processes: two fetch and decode what a wire of 1 Gbit/s brings, and each holds some 50 MB
_GONE = (EOFError, OSError)  # what a pipe raises whose other end is closed
# Forking this process, with threads of libcurl or torch, would copy their locks, not them. One that has loaded what it
# is asked to and done nothing else may be forked; Apple's libraries forbid even that.
_FORKS = sys.platform == "linux"


class Local:
    """Processes of this machine."""

    name, here = "local", True

    def __init__(self, processes: int | None = None) -> None:
        """`processes`: null = one a core, up to 4, where there is enough to do, else this one."""
        self.processes = processes

    def gpus(self) -> int:
        return 0

    def workers(self, images: int) -> int:
        if self.processes is not None:
            return self.processes
        if images < _WORTH_IT or multiprocessing.current_process().daemon:  # which may have no children
            return 1
        return min(cores(), _ENOUGH)

    def get_ready(self, module: str, images: int) -> None:
        if _FORKS and self.workers(images) > 1:
            forkserver.set_forkserver_preload([module])
            with suppress(OSError), _sheltered():
                forkserver.ensure_running()

    def map(
        self,
        task: Task,
        shards: Sequence[Any],
        *,
        workers: int,
        desk: Coordinator | None = None,
        tick: Callable[[], None] = noop,
        gpus: float = 0,  # noqa: ARG002 - they are this machine's, and the task finds them by itself
    ) -> Iterator[tuple[int, Any]]:
        if workers == 1:
            return _here(task, shards, desk, tick)
        return _Pool(task, shards, min(workers, len(shards)), desk).run(tick)

    def close(self) -> None:
        """No worker outlives a map; what they are forked from ends with this process."""


# --- this process


@dataclass(frozen=True)
class _DirectLine:
    desk: Coordinator | None
    worker: str
    tick: Callable[[], None]

    def exchange(self, report: Any) -> Any:
        if self.desk is None:
            raise DriverGoneError("this map has no desk")
        self.tick()
        return self.desk.exchange(self.worker, report)


def _here(
    task: Task, shards: Sequence[Any], desk: Coordinator | None, tick: Callable[[], None]
) -> Iterator[tuple[int, Any]]:
    for number, shard in enumerate(shards):
        yield number, task(shard, _DirectLine(desk, f"{number}.1", tick))
        tick()


# --- other processes


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    shard: int = -1  # the one at hand
    name: str = ""  # of this try of it


class _Pool:
    """The driver's side: processes with a pipe each, all served in one thread."""

    def __init__(self, task: Task, shards: Sequence[Any], workers: int, desk: Coordinator | None) -> None:
        self._task, self._shards, self._desk = task, shards, desk
        self._most = workers
        self._todo = deque(range(len(shards)))
        self._tries = RetryCounter()
        self._workers: dict[Connection, _Worker] = {}

    def run(self, tick: Callable[[], None]) -> Iterator[tuple[int, Any]]:
        tick = throttled(tick, _TICK_S)
        try:
            while self._todo or self._workers:
                while self._todo and len(self._workers) < self._most:
                    worker = _started()
                    self._workers[worker.pipe] = worker
                    self._give(worker)
                for pipe in connection.wait(list(self._workers), timeout=_TICK_S):
                    yield from self._hear(self._workers[pipe])  # type: ignore[index]
                tick()
        finally:
            self._end()

    def _give(self, worker: _Worker) -> None:
        """Hand a worker the next shard, or send it home."""
        if not self._todo:
            self._dismiss(worker)
            return
        worker.shard = self._todo.popleft()
        worker.name = self._tries.begin(worker.shard)
        try:
            worker.pipe.send((self._task, self._shards[worker.shard]))
        except _GONE:
            self._lost(worker)

    def _hear(self, worker: _Worker) -> Iterator[tuple[int, Any]]:
        """Take what a worker has to say: a report to be answered, or the end of its shard."""
        try:
            said = worker.pipe.recv()
            if not isinstance(said, Success | Failure):
                worker.pipe.send(self._desk.exchange(worker.name, said) if self._desk else None)
                return
        except _GONE:
            self._lost(worker)
            return
        shard = worker.shard
        result = value(said)
        self._give(worker)
        yield shard, result

    def _lost(self, worker: _Worker) -> None:
        self._todo.appendleft(worker.shard)
        if self._desk:
            self._desk.lost(worker.name)
        self._dismiss(worker)

    def _dismiss(self, worker: _Worker) -> None:
        del self._workers[worker.pipe]
        worker.pipe.close()  # it ends when it meets that
        worker.process.join(_PATIENCE_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.process.close()

    def _end(self) -> None:
        for pipe in self._workers:
            pipe.close()
        for worker in list(self._workers.values()):
            self._dismiss(worker)


def _started() -> _Worker:
    """A worker that waits for its first shard."""
    if get_start_method(allow_none=True) not in (None, *get_all_start_methods()):
        set_start_method("spawn", force=True)  # joblib's processes have one of their own, which their children lack
    if _FORKS:
        # No room for its socket (TMPDIR is gone, its name long or its disk full), or somebody has killed it.
        with suppress(*_GONE):
            with _sheltered():
                forkserver.ensure_running()
            return _begun(get_context("forkserver"))
    with _sheltered():
        return _begun(get_context("spawn"))


def _begun(context: Any) -> _Worker:
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


@contextmanager
def _sheltered() -> Iterator[None]:
    """Within, a process that is started does not see Ctrl-C: the whole group gets it, and the driver decides. Nor does
    it import from the current folder, as `python -c` would."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    was, before = os.environ.get(_SAFE_PATH), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        os.environ[_SAFE_PATH] = "1"
        resource_tracker.ensure_running()  # which unblocks what is blocked when it is started
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if was is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = was


class _PipeLine:
    """The worker's end of its pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def exchange(self, report: Any) -> Any:
        try:
            self._pipe.send(report)
            return self._pipe.recv()
        except _GONE as error:
            raise DriverGoneError("the driver is gone") from error


def _serve(pipe: Connection) -> None:
    """The life of a worker: one shard after the other, until the driver closes the pipe or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    line = _PipeLine(pipe)
    with suppress(DriverGoneError, *_GONE):
        while True:
            task, shard = pipe.recv()
            pipe.send(run_task(task, shard, line))
    # A thread that a library left behind must not keep a worker alive that nobody listens to.
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            os._exit(0)
