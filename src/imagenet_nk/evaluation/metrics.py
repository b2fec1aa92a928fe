"""Metrics of predictions: accuracy with its confidence interval, accuracy of each class, confused pairs."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagenet_nk.evaluation.ncm import TOP, Predictions


def topk_accuracy(predictions: Predictions, classes: int, bootstrap: int, seed: int) -> dict[str, Any]:
    """Top-1 and top-5 with 95 % intervals; None without images, and for top-5 with five classes or fewer."""
    return {
        f"top{n}": _proportion_with_ci(predictions.ranks < n, bootstrap, seed)
        if len(predictions.ranks) and classes > n
        else None
        for n in (1, TOP)
    }


def _proportion_with_ci(hits: NDArray[np.bool_], bootstrap: int, seed: int) -> dict[str, Any]:
    """The proportion of hits, with its bootstrap percentile interval (Efron and Tibshirani 1993, sec. 13.3).

    A resample of n images of which h are hits has Binomial(n, h / n) hits, so hits are drawn instead of images.
    """
    proportion = float(hits.mean())
    if not bootstrap:
        return {"value": proportion}
    resampled = np.random.default_rng(seed).binomial(len(hits), proportion, bootstrap) / len(hits)
    low, high = np.percentile(resampled, [2.5, 97.5])
    return {"value": proportion, "ci95": [float(low), float(high)]}


def per_class_accuracy(predictions: Predictions, classes: int) -> list[float | None]:
    """Top-1 of each class; None for a class without images."""
    totals_K = np.bincount(predictions.classes, minlength=classes)
    hits_K = np.bincount(predictions.classes[predictions.ranks == 0], minlength=classes)
    return [float(hits / total) if total else None for hits, total in zip(hits_K, totals_K, strict=True)]


def confusion_pairs(predictions: Predictions, pairs: int) -> list[tuple[int, int, int]]:
    """The most frequent confusions: (row of the true class, row of the predicted class, images)."""
    is_wrong = predictions.ranks > 0
    true, predicted = predictions.classes[is_wrong].tolist(), predictions.nearest[is_wrong].tolist()
    counts = sorted(Counter(zip(true, predicted, strict=True)).items(), key=lambda item: (-item[1], item[0]))
    return [(*pair, count) for pair, count in counts[:pairs]]
