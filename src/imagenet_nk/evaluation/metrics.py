"""Figures out of judged images: accuracy with its confidence interval, class by class, and who is taken for whom."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagenet_nk.evaluation.ncm import TOP, Predictions


def topk_accuracy(judged: Predictions, classes: int, bootstrap: int, seed: int) -> dict[str, Any]:
    """Top-1 and top-5 with 95 % intervals; null without images, and top-5 where there are no more than five classes."""
    return {
        f"top{n}": _proportion_with_ci(judged.ranks < n, bootstrap, seed) if len(judged.ranks) and classes > n else None
        for n in (1, TOP)
    }


def _proportion_with_ci(hits: NDArray[np.bool_], bootstrap: int, seed: int) -> dict[str, Any]:
    """The share of hits, and the percentile interval of its bootstrap (Efron and Tibshirani 1993, 13.3).

    n images drawn with replacement from n of which h are hits hold Binomial(n, h / n) hits: drawn as such.
    """
    share = float(hits.mean())
    if not bootstrap:
        return {"value": share}
    drawn = np.random.default_rng(seed).binomial(len(hits), share, bootstrap) / len(hits)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {"value": share, "ci95": [float(low), float(high)]}


def per_class_accuracy(judged: Predictions, classes: int) -> list[float | None]:
    """Top-1 of each class, null where none of its images was judged."""
    asked = np.bincount(judged.classes, minlength=classes)
    right = np.bincount(judged.classes[judged.ranks == 0], minlength=classes)
    return [float(r / n) if n else None for r, n in zip(right, asked, strict=True)]


def confusion_pairs(judged: Predictions, pairs: int) -> list[tuple[int, int, int]]:
    """(row of the class, row that it was taken for, images), the most frequent first."""
    wrong = judged.ranks > 0
    counted = Counter(zip(judged.classes[wrong].tolist(), judged.nearest[wrong].tolist(), strict=True))
    return [
        (true, taken, n) for (true, taken), n in sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:pairs]
    ]
