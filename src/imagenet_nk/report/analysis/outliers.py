"""Which images look wrong: far from the center of their class, or closer to that of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imagenet_nk.preprocessing.cached_embeddings import CachedEmbeddings

_BATCH = 2048
Column = NDArray[np.float64]


@dataclass(frozen=True)
class OutlierScores:
    """Cosine distances (1 - cosine, 0 to 2) of N images; nan where an image or its class has none."""

    own: Column  # (N,) to the mean of the others of its class: without the image itself
    other: Column  # (N,) to the nearest center of another class
    nearest: NDArray[np.int64]  # (N,) that class's row; -1 for none

    @property
    def margin(self) -> Column:
        """(N,) how much nearer the other class is; positive = nearer to it than to its own."""
        return self.own - self.other


def outlier_scores(
    kept: CachedEmbeddings,
    rows: NDArray[np.int64],
    classes: NDArray[np.int64],
    in_center: NDArray[np.bool_],
    centers: Mapping[int, NDArray[np.float32]],
    counts: Mapping[int, int],
) -> OutlierScores:
    """Judge N images. rows: where `kept` has them, or -1; classes: the row of their class; centers, counts: by row."""
    class_rows = np.array(sorted(centers), np.int64)
    place = {int(k): index for index, k in enumerate(class_rows)}
    centers_KD = np.stack([centers[int(k)] for k in class_rows]).astype(np.float64)
    unit_KD = _unit_rows(centers_KD)
    own, other = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    nearest = np.full(len(rows), -1, np.int64)
    scored = np.flatnonzero((rows >= 0) & np.isin(classes, class_rows))
    for first in range(0, len(scored), _BATCH):
        batch = scored[first : first + _BATCH]
        x = kept.read(rows[batch]).astype(np.float64)
        k = np.array([place[int(row)] for row in classes[batch]])
        n = np.array([counts[int(row)] for row in classes[batch]], np.float64)
        away = _unit_rows(x) @ unit_KD.T
        away[np.arange(len(batch)), k] = -np.inf
        if len(class_rows) > 1:
            best = away.argmax(axis=1)
            other[batch], nearest[batch] = 1 - away[np.arange(len(batch)), best], class_rows[best]
        inside = in_center[batch]
        left_out = (n[:, None] * centers_KD[k] - x) / np.maximum(n - 1, 1)[:, None]
        mine = 1 - (_unit_rows(x) * _unit_rows(np.where(inside[:, None], left_out, centers_KD[k]))).sum(axis=1)
        own[batch] = np.where(inside & (n < 2), np.nan, mine)
    return OutlierScores(own, other, nearest)


def likely_mislabelled(scores: OutlierScores, count: int) -> NDArray[np.int64]:
    """Images that lie nearer to another class than to their own, the clearest first."""
    return _largest(np.where(scores.margin > 0, scores.margin, np.nan), count)


def find_outliers(scores: OutlierScores, count: int) -> NDArray[np.int64]:
    """Images that lie farthest from their own class."""
    return _largest(scores.own, count)


def _largest(values: Column, count: int) -> NDArray[np.int64]:
    order = np.argsort(-np.where(np.isnan(values), -np.inf, values), kind="stable")[:count]
    return order[~np.isnan(values[order])]


def _unit_rows(x: Column) -> Column:
    lengths = np.linalg.norm(x, axis=-1, keepdims=True)
    return np.asarray(np.divide(x, lengths, out=np.zeros_like(x), where=lengths > 0), np.float64)
