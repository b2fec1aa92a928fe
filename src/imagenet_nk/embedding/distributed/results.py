"""Results of workers as batches of the driver's images, and the other way round."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imagenet_nk.embedding.messages import ShardEmbeddings
from imagenet_nk.errors import CentersError
from imagenet_nk.preprocessing.types import EmbeddingBatch, SkippedImage


def to_batch(result: ShardEmbeddings, rows: Sequence[int], paths: Sequence[Path]) -> EmbeddingBatch:
    """The result of a shard that holds these rows of `paths`."""
    own_rows = np.asarray(rows, np.int64)[result.rows]
    embeddings = np.require(result.embeddings, requirements="W")  # arrays in Ray's memory are read-only
    return EmbeddingBatch(own_rows, embeddings, tuple(to_skipped(result.skipped, result.host, rows, paths)))


def to_skipped(
    skipped: Sequence[tuple[int, str]], host: str, rows: Sequence[int], paths: Sequence[Path]
) -> list[SkippedImage]:
    """The skipped images of a shard. Raises CentersError for a file that exists here, but not on that host."""
    images = [SkippedImage(rows[row], paths[rows[row]], reason) for row, reason in skipped]
    for image in images:
        if image.reason.startswith(FileNotFoundError.__name__) and image.path.is_file():
            raise CentersError(
                f"{host} has no file {image.path.absolute()}: dataset.dir must lie on a file system that all nodes "
                "share, under the same path"
            )
    return images


def join_batches(batches: Sequence[EmbeddingBatch]) -> ShardEmbeddings:
    """The batches of a whole shard as one result."""
    filled = [batch for batch in batches if len(batch.rows)]
    rows = np.concatenate([batch.rows for batch in filled]) if filled else np.empty(0, np.int64)
    embeddings = np.concatenate([batch.embeddings for batch in filled]) if filled else np.empty((0, 0), np.float32)
    skipped = tuple((image.row, image.reason) for batch in batches for image in batch.skipped)
    return ShardEmbeddings(socket.gethostname(), rows, embeddings, skipped)
