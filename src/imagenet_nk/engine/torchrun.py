"""Which process of a torchrun this is. Nothing here imports torch: --help is to answer at once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from imagenet_nk.errors import EngineError

if TYPE_CHECKING:
    from imagenet_nk.engine.contract import Engine

_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_LEADER = "IMAGENET_NK_LEADER"  # environment variable: process number of rank 0's run


def rank() -> int:
    """From 0 to world() - 1; 0 outside of torchrun."""
    return int(os.environ["RANK"]) if _there() else 0


def world() -> int:
    """Processes of this torchrun on all machines; 1 outside of one."""
    return int(os.environ["WORLD_SIZE"]) if _there() else 1


def local_rank() -> int:
    """Among the processes of this machine."""
    return int(os.environ.get("LOCAL_RANK", "0")) if _there() else 0


def local_world() -> int:
    """Processes of this torchrun on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if _there() else 1


def lead() -> None:
    """Make this process the one that the other ranks listen to."""
    os.environ[_LEADER] = str(os.getpid())


def leads() -> bool:
    """Whether it is: a process that it has started has its variables, but not its ranks."""
    return os.environ.get(_LEADER) == str(os.getpid())


def check(engine: Engine) -> None:
    """Raise EngineError where ranks and other workers are asked for at once."""
    if world() == 1:
        return
    if not engine.is_local or engine.workers(0) > 1:
        raise EngineError("torchrun shares the work among its ranks: leave engine= and engine.processes= out")
    if not leads():
        raise EngineError("under torchrun the jobs of a sweep go one after the other: leave hydra/launcher= out")


def _there() -> bool:
    return all(name in os.environ for name in _VARIABLES)
