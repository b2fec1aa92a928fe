"""What a worker is told and what it answers. Nothing here imports torch: a worker that lacks it is to say so itself."""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_nk.backbones.allocator import reuse_large_blocks
from imagenet_nk.embedding.messages import BackboneSpec, Shard, ShardEmbeddings
from imagenet_nk.engine.contract import Channel
from imagenet_nk.errors import BackboneError, CentersError

if TYPE_CHECKING:
    from imagenet_nk.embedding.distributed.worker import Worker


def embed(shard: Shard, line: Channel) -> ShardEmbeddings:  # noqa: ARG001
    """Task of an engine."""
    reuse_large_blocks()
    return worker(shard.orders, shard.paths, shard.threads).embed(shard)


_latest: list[
    tuple[tuple[BackboneSpec, ...], Worker]
] = []  # of this process: a model is built once, not for each shard


def worker(
    told: tuple[BackboneSpec, ...], paths: Sequence[Path], threads: int | None = None, device: str | None = None
) -> Worker:
    """The backbones as ordered, built; see Worker. Raises BackboneError, with the host's name."""
    if not _latest or _latest[0][0] != told:
        _latest.clear()
        logging.getLogger("imagenet_nk").addHandler(logging.NullHandler())  # else Python prints warnings by itself
        try:
            from imagenet_nk.embedding.distributed.worker import Worker

            _latest.append((told, Worker(told, paths, threads, device)))
        except ImportError as error:
            raise BackboneError(
                f"{socket.gethostname()} lacks {error.name}: install imagenet-nk there as it is here"
            ) from error
        except (BackboneError, CentersError) as error:
            raise BackboneError(f"on {socket.gethostname()}: {error}") from error
    return _latest[0][1]
