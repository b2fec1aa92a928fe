"""Metrics of predictions: accuracy with its confidence interval, accuracy of each class, confused pairs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from imagenet_nk.evaluation.ncm import TOP, Predictions


def topk_accuracy(predictions: Predictions, classes: int) -> dict[str, Any]:
    """Top-1 and top-5 with 95 % intervals; None without images, and for top-5 with five classes or fewer."""
    images = len(predictions.ranks)
    return {
        f"top{n}": proportion(int((predictions.ranks < n).sum()), images) if images and classes > n else None
        for n in (1, TOP)
    }


def proportion(hits: int, total: int) -> dict[str, Any]:
    """A proportion with its 95 % score interval (Wilson 1927), which has a width at 0 and at 1 too."""
    share, z = hits / total, 1.959963984540054  # the 97.5 % quantile of the normal distribution
    middle = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    low, high = middle - half if hits else 0.0, middle + half if hits < total else 1.0  # without rounding errors
    return {"value": share, "ci95": [low, high]}


def mean_and_std(values: Sequence[float]) -> dict[str, Any]:
    """Mean and sample standard deviation of repetitions, None where there are too few, and the values themselves."""
    return {
        "mean": float(np.mean(values)) if values else None,
        "std": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "values": list(values),
    }


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
