"""Who runs the models of a run."""

from __future__ import annotations

from imagenet_nk.embedding.distributed.engine import EngineExecutor
from imagenet_nk.embedding.executor import Executor
from imagenet_nk.engine.contract import Engine


def select_executor(engine: Engine) -> Executor | None:
    """The workers of the engine; None for this process alone, whose threads have all its cores already."""
    return None if engine.is_local and engine.workers(0) == 1 else EngineExecutor(engine)
