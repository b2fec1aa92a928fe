"""Accuracy, its intervals, and confused classes."""

from __future__ import annotations

import numpy as np
import pytest

from imagenet_nk.evaluation import metrics
from imagenet_nk.evaluation.ncm import Predictions


def test_intervals_contain_the_accuracy_and_narrow_with_more_images():
    def interval(n):
        ranks = (np.arange(n) % 4 == 0).astype(np.int64)
        accuracy = metrics.topk_accuracy(Predictions(np.zeros(n, np.int64), ranks, ranks), 9, 2000, 0)["top1"]
        low, high = accuracy["ci95"]
        assert low <= accuracy["value"] == 0.75 <= high
        return high - low

    assert interval(4000) == pytest.approx(2 * 1.96 * np.sqrt(0.75 * 0.25 / 4000), rel=0.1)
    assert interval(100) > 3 * interval(4000)


def test_top5_of_five_classes_is_none():
    predictions = Predictions(np.zeros(3, np.int64), np.arange(3), np.zeros(3, np.int64))
    assert metrics.topk_accuracy(predictions, 5, 0, 0)["top5"] is None
    assert metrics.topk_accuracy(predictions, 6, 0, 0)["top5"] == {"value": 1.0}


def test_accuracy_of_each_class_and_the_most_confused_pairs():
    predictions = Predictions(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 2, 1, 0]), np.array([0, 2, 0, 0, 1]))
    assert metrics.per_class_accuracy(predictions, 3) == [0.5, pytest.approx(1 / 3), None]
    assert metrics.confusion_pairs(predictions, 5) == [(1, 0, 2), (0, 2, 1)]
    assert metrics.confusion_pairs(predictions, 1) == [(1, 0, 2)]
