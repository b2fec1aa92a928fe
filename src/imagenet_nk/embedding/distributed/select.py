"""The one place that chooses the executor of a run."""

from __future__ import annotations

from imagenet_nk.embedding.distributed.engine import EngineExecutor
from imagenet_nk.embedding.executor import Executor, LocalExecutor
from imagenet_nk.engine.contract import Engine


def select_executor(engine: Engine) -> Executor:
    """The workers of the engine; or this process, if the engine has no worker besides it."""
    return LocalExecutor() if engine.is_local and engine.workers(0) == 1 else EngineExecutor(engine)
