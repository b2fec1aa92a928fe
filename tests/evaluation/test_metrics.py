"""Accuracy, its intervals, and confused classes."""

from __future__ import annotations

import numpy as np
import pytest

from imagenet_nk.evaluation import metrics
from imagenet_nk.evaluation.ncm import Predictions


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [  # Newcombe (1998), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_interval_is_wilsons(hits, total, low, high):
    figure = metrics.proportion(hits, total)
    assert figure["value"] == hits / total
    assert figure["ci95"] == [pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5)]


def test_interval_at_all_hits_mirrors_that_at_none():
    none, every = metrics.proportion(0, 12)["ci95"], metrics.proportion(12, 12)["ci95"]
    assert every == [pytest.approx(1 - none[1]), 1.0]
    assert none[0] == 0.0 < none[1]


def test_top5_of_five_classes_is_none():
    predictions = Predictions(np.zeros(3, np.int64), np.arange(3), np.zeros(3, np.int64))
    assert metrics.topk_accuracy(predictions, 5)["top5"] is None
    assert metrics.topk_accuracy(predictions, 6)["top5"]["value"] == 1.0


def test_accuracy_of_each_class_and_the_most_confused_pairs():
    predictions = Predictions(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 2, 1, 0]), np.array([0, 2, 0, 0, 1]))
    assert metrics.per_class_accuracy(predictions, 3) == [0.5, pytest.approx(1 / 3), None]
    assert metrics.confusion_pairs(predictions, 5) == [(1, 0, 2), (0, 2, 1)]
    assert metrics.confusion_pairs(predictions, 1) == [(1, 0, 2)]
