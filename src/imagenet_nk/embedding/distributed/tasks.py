"""The task that an engine's workers run. Imports no torch: a worker without it reports that in one line."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING

from imagenet_nk.backbones.allocator import reuse_large_blocks
from imagenet_nk.embedding.messages import BackboneSpec, Shard, ShardEmbeddings
from imagenet_nk.engine.contract import Channel
from imagenet_nk.errors import BackboneError, CentersError

if TYPE_CHECKING:
    from imagenet_nk.embedding.distributed.worker import Worker

# The worker of this process: a model is built once, not for each shard.
_latest: list[tuple[tuple[BackboneSpec, ...], Worker]] = []


def embed(shard: Shard, line: Channel) -> ShardEmbeddings:  # noqa: ARG001
    """Task of an engine: the embeddings of a shard. Raises BackboneError, with the name of the host."""
    reuse_large_blocks()
    return _worker(shard).embed(shard.paths)


def _worker(shard: Shard) -> Worker:
    if not _latest or _latest[0][0] != shard.specs:
        _latest.clear()
        logging.getLogger("imagenet_nk").addHandler(logging.NullHandler())  # or Python prints warnings to stderr
        try:
            from imagenet_nk.embedding.distributed.worker import Worker

            _latest.append((shard.specs, Worker(shard.specs, shard.paths, shard.threads)))
        except ImportError as error:
            raise BackboneError(
                f"{socket.gethostname()} lacks {error.name}: install imagenet-nk there as it is here"
            ) from error
        except (BackboneError, CentersError) as error:
            raise BackboneError(f"on {socket.gethostname()}: {error}") from error
    return _latest[0][1]
