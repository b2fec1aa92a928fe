"""The embeddings of images under one backbone, as the stages read them; embeddings that are not finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imagenet_nk.config.backbones import Dtype, NonFinite
from imagenet_nk.embedding.plan import EmbeddingPlan
from imagenet_nk.errors import CentersError
from imagenet_nk.preprocessing.row_cache import MappedRows
from imagenet_nk.preprocessing.types import EmbeddingBatch, Floats, SkippedImage

NOT_FINITE = "its embedding is not finite"


@dataclass(frozen=True)
class Embeddings:
    """The embeddings of images under one backbone, mapped from the cache, so that every stage can read them again."""

    plan: EmbeddingPlan  # as it was used
    values: MappedRows  # (M, D)
    rows: Mapping[Path, int]  # image to row of `values`, for those that have an embedding
    skipped: Mapping[Path, str]  # image to the reason why it has none
    embedded: int  # images that went through the model in this run, alone
    seconds: float  # that they took

    def find(self, paths: Sequence[Path]) -> NDArray[np.int64]:
        """(N,) the row of each image; -1 for one without an embedding."""
        return np.array([self.rows.get(path, -1) for path in paths], np.int64)

    def read(self, rows: NDArray[np.int64]) -> Floats:
        """(n, D) a copy of these rows."""
        return self.values.read(rows)

    def describe_skipped(self) -> list[dict[str, str]]:
        """The skipped images as in metrics.json."""
        return [{"path": str(path), "reason": reason} for path, reason in sorted(self.skipped.items())]


def drop_nonfinite(
    batch: EmbeddingBatch, images: Sequence[Path], on_nonfinite: NonFinite, dtype: Dtype
) -> EmbeddingBatch:
    """The batch with embeddings that are NaN or infinite moved to `skipped`. Raises CentersError if on_nonfinite=raise.

    `batch.rows` are places in `images`.
    """
    finite = np.isfinite(batch.embeddings).all(axis=1) if len(batch.rows) else np.ones(0, bool)
    if finite.all():
        return batch
    broken = [SkippedImage(int(row), images[row], NOT_FINITE) for row in batch.rows[~finite]]
    if on_nonfinite == NonFinite["raise"]:
        exact = "" if dtype == Dtype.float32 else ", or backbone.dtype=float32"
        raise CentersError(
            f"the embedding of {broken[0].path} is not finite; type centers.on_nonfinite=skip to leave such images "
            f"out{exact}"
        )
    return EmbeddingBatch(batch.rows[finite], batch.embeddings[finite], (*batch.skipped, *broken))
