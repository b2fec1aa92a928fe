"""`engine=ray`: tasks on a Ray cluster, whose reports come back through a queue on the driver's node.

The package itself is sent along (runtime_env), so workers run the driver's code, whatever is installed there; what that
code needs must be installed.
"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from imagenet_nk.engine import ray_cluster
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
from imagenet_nk.errors import EngineError
from imagenet_nk.wording import one_line

_TICK_S = 0.2


class Ray:
    """Connects at first use, so that --help and a mistake elsewhere cost nothing."""

    name, is_local = "ray", False

    def __init__(self, address: str = "auto", workers: int | None = None) -> None:
        """`address`: auto, local, HOST:6379 or ray://HOST:10001. `workers`: null = as many as the cluster has CPUs."""
        self._address, self._workers = address, workers
        self._ray: Any = None
        ray_cluster.require_ray()

    def workers(self, images: int) -> int:  # noqa: ARG002 - the cluster is used as asked for
        return self._workers or max(1, int(self._connected().cluster_resources().get("CPU", 1)))

    def gpus(self) -> int:
        return int(self._connected().cluster_resources().get("GPU", 0))

    def preload(self, module: str, images: int) -> None:
        """Do nothing: a cluster's workers load what a task needs when it comes."""

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
        ray = self._connected()
        if gpus > self.gpus():
            raise EngineError(
                f"no node of the Ray cluster ({self._address}) has the GPU that was asked for: start one that has, or "
                f"type backbone.device=cpu"
            )
        return _Map(ray, task, shards, workers, on_report, gpus).run(tick)

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


class _QueueChannel:
    def __init__(self, queue: Any, shard: int) -> None:
        self._queue, self._shard = queue, shard

    def send(self, report: Any) -> None:
        import ray

        try:
            self._queue.put((self._shard, pickle.dumps(report, pickle.HIGHEST_PROTOCOL)))
        except ray.exceptions.RayError as error:
            raise DriverGoneError("the driver has ended") from error


def _run(packed: bytes, queue: Any, shard: int) -> Success | Failure:
    """A Ray task: one try of one shard."""

    def task(_: Any, channel: Any) -> Any:  # unpickled within run_task(): a module may be missing here
        function, unpacked = pickle.loads(packed)  # noqa: S301 - the driver's
        return function(unpacked, channel)

    return run_task(task, None, _QueueChannel(queue, shard))


# --- the driver


class _Map:
    def __init__(
        self, ray: Any, task: Task, shards: Sequence[Any], workers: int, on_report: ReportCallback, gpus: float
    ) -> None:
        self._ray, self._task, self._shards, self._max_workers = ray, task, shards, workers
        self._on_report = on_report
        self._pending = deque(range(len(shards)))
        self._retries = RetryCounter()
        self._running: dict[Any, int] = {}  # shard by what Ray will give
        self._remote = ray.remote(_run).options(
            num_cpus=1,
            num_gpus=gpus,
            max_retries=0,  # tries are counted here
            scheduling_strategy="SPREAD",
        )

    def run(self, tick: Callable[[], None]) -> Iterator[tuple[int, Any]]:
        from ray.util.queue import Queue

        ray, tick = self._ray, throttled(tick, _TICK_S)
        queue = Queue(actor_options={"num_cpus": 0, **self._queue_placement()})
        try:
            while self._pending or self._running:
                while self._pending and len(self._running) < self._max_workers:
                    self._start(self._pending.popleft(), queue)
                ready, _ = ray.wait(list(self._running), timeout=_TICK_S)
                self._drain(queue)  # first: what a task reported comes before its end
                for ref in ready:
                    yield from self._on_end(ref)
                tick()
        finally:
            for ref in self._running:
                ray.cancel(ref, force=True)
            queue.shutdown(force=True)

    def _queue_placement(self) -> dict[str, Any]:
        """The queue is on the driver's node, whose death ends the run in any case."""
        if self._ray.util.client.ray.is_connected():
            return {}  # the driver is on none
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        node = self._ray.get_runtime_context().get_node_id()
        return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}

    def _start(self, shard: int, queue: Any) -> None:
        self._retries.start(shard)
        packed = self._ray.cloudpickle.dumps((self._task, self._shards[shard]))
        self._running[self._remote.remote(packed, queue, shard)] = shard

    def _drain(self, queue: Any) -> None:
        """Hand over the reports that have come in."""
        try:
            reports = queue.get_nowait_batch(queue.size())
        except self._ray.exceptions.RayError as error:
            detail = one_line(error)[:200]
            raise EngineError(
                f"the connection to the workers broke ({detail}); the same command continues from here"
            ) from error
        for shard, report in reports:
            self._on_report(shard, pickle.loads(report))  # noqa: S301 - a worker's

    def _on_end(self, ref: Any) -> Iterator[tuple[int, Any]]:
        errors = self._ray.exceptions
        shard = self._running.pop(ref)
        try:
            end = self._ray.get(ref)
        except (errors.RayTaskError, errors.RuntimeEnvSetupError) as error:
            raise EngineError(f"a worker cannot run imagenet-nk: {one_line(error)[-300:]}") from error
        except errors.RayError:  # its process or its node died
            self._pending.appendleft(shard)
            return
        yield shard, unwrap(end)
