"""`engine=ray`: tasks on a Ray cluster, and a switchboard there that carries what they say to the driver and back.

A driver cannot be called, so an actor on its node holds each report until the driver has fetched and answered it; it
opens none. The package itself is sent along (runtime_env), so workers run the driver's code, whatever is installed
there; what that code needs must be installed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import sys
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imagenet_nk.engine.base import Desk, Failure, HungUpError, Success, Task, Tries, attempt, nothing, value
from imagenet_nk.errors import EngineError

_TICK_S = 0.2
_DRIVER_GONE_S = 60.0  # without a fetch from the driver, whose node lives, workers are told that it is gone
_NAMESPACE = "imagenet_nk"

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when ray is imported: nothing is sent home
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # tasks without GPUs see them all the same: no warning


class Ray:
    """Connects when it is first used, so that --help and a mistake elsewhere cost nothing."""

    name = "ray"

    def __init__(self, address: str = "auto", workers: int | None = None) -> None:
        """`address`: auto, local, HOST:6379 or ray://HOST:10001. `workers`: null = as many as the cluster has CPUs."""
        self._address, self._workers = address, workers
        self._ray: Any = None
        _imported()

    def workers(self, images: int) -> int:  # noqa: ARG002 - who asks for a cluster is to get it
        """As many as the cluster has CPUs now, if nothing else is said."""
        return self._workers or max(1, int(self._connected().cluster_resources().get("CPU", 1)))

    def map(
        self,
        task: Task,
        shards: Sequence[Any],
        *,
        workers: int,
        desk: Desk | None = None,
        tick: Callable[[], None] = nothing,
        gpus: float = 0,
    ) -> Iterator[tuple[int, Any]]:
        ray = self._connected()
        if gpus and not ray.cluster_resources().get("GPU"):
            raise EngineError(
                f"no node of the Ray cluster at {self._address} has a GPU: start one that has, or type backbone.device=cpu"
            )
        return _Map(ray, task, shards, workers, desk, gpus).run(tick)

    def close(self) -> None:
        """Leave the cluster; one of our own ends with that."""
        if self._ray is not None:
            self._ray.shutdown()
            self._ray = None

    def _connected(self) -> Any:
        if self._ray is None:
            self._ray = _connect(self._address)
        return self._ray


def _imported() -> Any:
    try:
        import ray
    except ImportError as error:
        raise EngineError("engine=ray needs Ray: pip install 'imagenet-nk[ray]'") from error
    return ray


def _connect(address: str) -> Any:
    ray = _imported()
    if ray.is_initialized():
        return ray
    package = Path(__file__).resolve().parent.parent
    try:
        ray.init(
            address=address,
            namespace=_NAMESPACE,
            ignore_reinit_error=True,
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=False if address == "local" else None,
            runtime_env={"py_modules": [str(package)], "excludes": ["**/__pycache__"]},
        )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise EngineError(_why(address, error)) from error
    return ray


def _why(address: str, error: Exception) -> str:
    """One line for a cluster that cannot be joined."""
    said = " ".join(str(error).split())
    if "ersion mismatch" in said or "does not match" in said:
        python = ".".join(map(str, sys.version_info[:3]))
        return f"the Ray cluster at {address} runs another version than this environment (Python {python}): {said[:300]}"
    how = "start one (ray start --head), or type engine.address=local for one of this machine"
    if address == "auto":
        return f"no Ray cluster runs here: {how}, or engine.address=HOST:6379 or ray://HOST:10001"
    return f"the Ray cluster at {address} cannot be reached ({said[:200]}): {how}"
