"""`engine=ray`: tasks on a Ray cluster, and a switchboard there that carries what they say to the driver and back.

A driver cannot be called, so an actor on its node holds each report until the driver has fetched and answered it; it
opens none. The package itself is sent along (runtime_env), so workers run the driver's code, whatever is installed
there; what that code needs must be installed.
"""

from __future__ import annotations

import asyncio
import pickle
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from imagenet_nk.engine import ray_cluster
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
from imagenet_nk.errors import EngineError

_TICK_S = 0.2
_LINES = 100_000  # reports that may wait at once: one a worker


class Ray:
    """Connects when it is first used, so that --help and a mistake elsewhere cost nothing."""

    name, here = "ray", False

    def __init__(self, address: str = "auto", workers: int | None = None) -> None:
        """`address`: auto, local, HOST:6379 or ray://HOST:10001. `workers`: null = as many as the cluster has CPUs."""
        self._address, self._workers = address, workers
        self._ray: Any = None
        ray_cluster.imported()

    def workers(self, images: int) -> int:  # noqa: ARG002 - who asks for a cluster is to get it
        return self._workers or max(1, int(self._connected().cluster_resources().get("CPU", 1)))

    def gpus(self) -> int:
        return int(self._connected().cluster_resources().get("GPU", 0))

    def get_ready(self, module: str, images: int) -> None:
        """Nothing: a cluster's workers load what a task needs when it comes."""

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
        ray = self._connected()
        if gpus > self.gpus():
            raise EngineError(
                f"no node of the Ray cluster ({self._address}) has the GPU that is asked for: start one that has, or "
                f"type backbone.device=cpu"
            )
        return _Map(ray, task, shards, workers, desk, gpus).run(tick)

    def close(self) -> None:
        """Leave the cluster; one of our own ends with that."""
        if self._ray is not None:
            self._ray.shutdown()
            self._ray = None

    def _connected(self) -> Any:
        if self._ray is None:
            self._ray = ray_cluster.connect(self._address)
        return self._ray


# --- on the cluster


class Switchboard:
    """The actor: holds each report until the driver has fetched and answered it. One event loop, no other thread."""

    def __init__(self) -> None:
        self._came = asyncio.Event()
        self._reports: deque[tuple[int, str, bytes]] = deque()
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._last = 0

    async def exchange(self, worker: str, report: bytes) -> bytes:
        """For a worker: hand in a report, and wait for orders."""
        self._last += 1
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[self._last] = answer
        self._reports.append((self._last, worker, report))
        self._came.set()
        return await answer

    async def fetch(self, answers: Mapping[int, bytes]) -> list[tuple[int, str, bytes]]:
        """For the driver: give orders, and get what has come in since, after a while at the latest."""
        for number, orders in answers.items():
            self._waiting.pop(number).set_result(orders)
        if not self._reports:
            self._came.clear()
            try:
                await asyncio.wait_for(self._came.wait(), _TICK_S)
            except TimeoutError:
                return []
        reports, self._reports = list(self._reports), deque()
        return reports


class _BoardLine:
    def __init__(self, board: Any, worker: str) -> None:
        self._board, self._worker = board, worker

    def exchange(self, report: Any) -> Any:
        import ray

        try:
            said = self._board.exchange.remote(self._worker, pickle.dumps(report, pickle.HIGHEST_PROTOCOL))
            orders: bytes = ray.get(said)
        except ray.exceptions.RayError as error:
            raise DriverGoneError("the driver is gone") from error
        return pickle.loads(orders)  # noqa: S301 - the driver's


def _run(packed: bytes, board: Any, worker: str) -> Success | Failure:
    """A Ray task: one try of one shard."""

    def task(_: Any, line: Any) -> Any:  # unpickled within attempt(): a module may be missing here
        function, shard = pickle.loads(packed)  # noqa: S301 - the driver's
        return function(shard, line)

    return run_task(task, None, _BoardLine(board, worker))


# --- the driver


class _Map:
    def __init__(
        self, ray: Any, task: Task, shards: Sequence[Any], workers: int, desk: Coordinator | None, gpus: float
    ) -> None:
        self._ray, self._task, self._shards, self._workers, self._desk = ray, task, shards, workers, desk
        self._todo = deque(range(len(shards)))
        self._tries = RetryCounter()
        self._running: dict[Any, tuple[int, str]] = {}  # (shard, name of the try) by what Ray will give
        self._remote = ray.remote(_run).options(
            num_cpus=1,
            num_gpus=gpus,
            max_retries=0,
            scheduling_strategy="SPREAD",  # tries are counted here
        )

    def run(self, tick: Callable[[], None]) -> Iterator[tuple[int, Any]]:
        ray, tick = self._ray, throttled(tick, _TICK_S)
        board = ray.remote(Switchboard).options(num_cpus=0, max_concurrency=_LINES, **self._beside()).remote()
        fetching = board.fetch.remote({})
        try:
            while self._todo or self._running:
                while self._todo and len(self._running) < self._workers:
                    self._start(self._todo.popleft(), board)
                ready, _ = ray.wait([fetching, *self._running], timeout=_TICK_S)
                for ref in ready:
                    if ref == fetching:  # a client gets other objects of the same
                        fetching = board.fetch.remote(self._answers(self._fetched(ref)))
                    else:
                        yield from self._ended(ref)
                tick()
        finally:
            for ref in self._running:
                ray.cancel(ref, force=True)
            ray.kill(board)

    def _beside(self) -> dict[str, Any]:
        """Where the switchboard is to run: on the driver's node, whose death ends the run anyway."""
        if self._ray.util.client.ray.is_connected():
            return {}  # the driver is on none
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        node = self._ray.get_runtime_context().get_node_id()
        return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}

    def _start(self, shard: int, board: Any) -> None:
        name = self._tries.begin(shard)
        packed = self._ray.cloudpickle.dumps((self._task, self._shards[shard]))
        self._running[self._remote.remote(packed, board, name)] = shard, name

    def _fetched(self, ref: Any) -> list[tuple[int, str, bytes]]:
        try:
            reports: list[tuple[int, str, bytes]] = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            said = " ".join(str(error).split())[:200]
            raise EngineError(f"the line to the workers broke ({said}); the same command goes on from here") from error
        return reports

    def _answers(self, reports: Sequence[tuple[int, str, bytes]]) -> dict[int, bytes]:
        answers = {}
        for number, worker, report in reports:
            orders = self._desk.exchange(worker, pickle.loads(report)) if self._desk else None  # noqa: S301 - a worker's
            answers[number] = pickle.dumps(orders, pickle.HIGHEST_PROTOCOL)
        return answers

    def _ended(self, ref: Any) -> Iterator[tuple[int, Any]]:
        errors = self._ray.exceptions
        shard, name = self._running.pop(ref)
        try:
            end = self._ray.get(ref)
        except (errors.RayTaskError, errors.RuntimeEnvSetupError) as error:
            raise EngineError(f"a worker cannot run imagenet-nk: {' '.join(str(error).split())[-300:]}") from error
        except errors.RayError:  # its process or its node died
            if self._desk:
                self._desk.lost(name)
            self._todo.appendleft(shard)
            return
        yield shard, value(end)
