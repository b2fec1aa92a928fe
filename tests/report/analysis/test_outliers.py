from __future__ import annotations

import numpy as np
import pytest

from imagenet_nk.report.analysis import outliers


class InMemory:
    """Embeddings in memory."""

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = matrix

    def read(self, rows: np.ndarray) -> np.ndarray:
        return self.matrix[rows].astype(np.float32)


def test_own_center_of_an_image_leaves_the_image_out() -> None:
    x = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.1, 1.0]])
    classes = np.array([0, 0, 0, 1])
    centers = {0: x[:3].mean(axis=0).astype(np.float32), 1: x[3].astype(np.float32)}
    scores = outliers.outlier_scores(
        InMemory(x), np.arange(4), classes, np.ones(4, bool), centers, {0: 3, 1: 1}  # type: ignore[arg-type]
    )  # fmt: skip
    assert scores.own[0] == pytest.approx(1.0), "the mean of the other two is at a right angle"
    assert np.isnan(scores.own[3]), "alone in its class"
    assert scores.nearest.tolist() == [1, 1, 1, 0]
    assert sorted(outliers.likely_mislabelled(scores, 9).tolist()) == [0, 1, 2]
    assert outliers.find_outliers(scores, 1).tolist() == [0]


def test_held_out_image_is_compared_with_the_whole_center() -> None:
    x = np.array([[1.0, 0.0]])
    centers = {0: np.array([1.0, 1.0], np.float32)}
    scores = outliers.outlier_scores(
        InMemory(x), np.array([0]), np.array([0]), np.zeros(1, bool), centers, {0: 4}  # type: ignore[arg-type]
    )  # fmt: skip
    assert scores.own[0] == pytest.approx(1 - 0.5**0.5)
    assert (scores.nearest.tolist(), np.isnan(scores.other[0])) == ([-1], True)


def test_image_without_embedding_or_center_has_no_score() -> None:
    centers = {0: np.array([1.0, 0.0], np.float32)}
    scores = outliers.outlier_scores(
        InMemory(np.ones((1, 2))), np.array([-1, 0]), np.array([0, 7]), np.ones(2, bool), centers, {0: 4}  # type: ignore[arg-type]
    )  # fmt: skip
    assert np.isnan(scores.own).all()
    assert outliers.find_outliers(scores, 5).tolist() == []
