"""All backbones of a run, through the stages `centers` and `evaluate`: one of them, or several in one pass."""

from __future__ import annotations

import logging

from imagenet_nk.config import Cache
from imagenet_nk.embedding.distributed.engine import EngineExecutor
from imagenet_nk.embedding.executor import Executor
from imagenet_nk.engine import torchrun
from imagenet_nk.engine.contract import Engine

log = logging.getLogger(__name__)


def crew(engine: Engine, cache: Cache) -> Executor | None:
    """The workers that a run has for its passes; None if it has this process alone.

    On one machine not by itself: the lanes have all its cores already.
    """
    ranks = torchrun.world() > 1  # by themselves: torchrun.check()
    if not ranks and engine.is_local and engine.workers(0) == 1:
        return None
    if cache != Cache.none:
        log.warning("cache=%s is for a run in one process: workers decode for themselves", cache)
    if not ranks:
        return EngineExecutor(engine)
    from imagenet_nk.embedding.distributed.torchrun import RankCrew  # torch.distributed

    return RankCrew()
