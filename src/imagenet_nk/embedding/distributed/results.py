"""Answers of workers as rows of the list."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imagenet_nk.embedding.messages import ShardEmbeddings
from imagenet_nk.errors import CentersError
from imagenet_nk.preprocessing.types import EmbeddingBatch, SkippedImage


def placed(share: ShardEmbeddings, rows: Sequence[int], paths: Sequence[Path]) -> EmbeddingBatch:
    """An answer as rows of the list."""
    there = np.array([rows[row] for row in share.rows.tolist()], np.int64)
    embeddings = np.require(share.embeddings, requirements="W")  # what Ray has in its memory cannot be written to
    return EmbeddingBatch(there, embeddings, tuple(named(share.faults, share.host, rows, paths)))


def named(
    faults: Sequence[tuple[int, str]], host: str, rows: Sequence[int], paths: Sequence[Path]
) -> list[SkippedImage]:
    """Faults by rows of the list. Raises CentersError for a file that is there, but not for that host."""
    found = [SkippedImage(rows[row], paths[rows[row]], reason) for row, reason in faults]
    for fault in found:
        if fault.reason.startswith(FileNotFoundError.__name__) and fault.path.is_file():
            raise CentersError(
                f"{host} has no file {fault.path.absolute()}: dataset.dir must lie on a file system that all nodes "
                "share, under the same path"
            )
    return found


def joined(parts: Sequence[EmbeddingBatch], rows: Sequence[int]) -> ShardEmbeddings:
    """Slices as one answer; `rows` are those of the list that were asked for, in its order."""
    place = {row: index for index, row in enumerate(rows)}
    some = [part for part in parts if len(part.rows)]
    there = [place[row] for part in some for row in part.rows.tolist()]
    embeddings = np.concatenate([part.embeddings for part in some]) if some else np.empty((0, 0), np.float32)
    faults = tuple((place[fault.row], fault.reason) for part in parts for fault in part.faults)
    return ShardEmbeddings(socket.gethostname(), np.array(there, np.int64), embeddings, faults)
