"""The choice of the executor."""

from __future__ import annotations

from imagenet_nk.embedding.distributed.engine import EngineExecutor
from imagenet_nk.embedding.distributed.select import select_executor
from imagenet_nk.embedding.executor import LocalExecutor
from imagenet_nk.engine.local import Local


def test_one_machine_uses_processes_only_if_more_than_one_is_configured():
    assert isinstance(select_executor(Local()), LocalExecutor)
    assert isinstance(select_executor(Local(1)), LocalExecutor)
    assert isinstance(select_executor(Local(2)), EngineExecutor)
