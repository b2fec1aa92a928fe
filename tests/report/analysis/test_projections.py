from __future__ import annotations

import itertools

import numpy as np
import pytest

from imagenet_nk.report.analysis import outliers, projections


def clusters(count: int, each: int, dim: int = 16) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, dim)).repeat(each, axis=0) * 5 + rng.normal(size=(count * each, dim))


def test_cosines_are_those_of_the_formula() -> None:
    found = projections.cosines(np.array([[1.0, 0.0], [1.0, 1.0], [-2.0, 0.0], [0.0, 0.0]]))
    assert found[0].tolist() == pytest.approx([1.0, 0.5**0.5, -1.0, 0.0])
    assert np.array_equal(found, found.T)


def test_pca_keeps_distances_of_points_in_a_plane_and_explains_all_of_them() -> None:
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(9, 2)) @ rng.normal(size=(2, 7)) + 3
    points, shares = projections.pca(plane)
    apart = np.linalg.norm(plane[:, None] - plane, axis=2)
    assert np.linalg.norm(points[:, None] - points, axis=2) == pytest.approx(apart)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[0] >= shares[1]


@pytest.mark.parametrize("count", [1, 2])
def test_pca_of_hardly_any_points_is_finite(count: int) -> None:
    points, shares = projections.pca(np.ones((count, 5)))
    assert points.tolist() == [[0.0, 0.0]] * count
    assert shares.tolist() == [0.0, 0.0]


def test_tsne_keeps_clusters_together_and_is_the_same_again() -> None:
    x = clusters(5, 8)
    found = projections.tsne(x)
    groups = found.reshape(5, 8, 2)
    middles = groups.mean(axis=1)
    within = np.linalg.norm(groups - middles[:, None], axis=2).max()
    apart = np.linalg.norm(middles[:, None] - middles, axis=2)[~np.eye(5, dtype=bool)].min()
    assert apart > within
    assert np.array_equal(found, projections.tsne(x))


def test_like_comes_beside_like_and_every_class_once() -> None:
    shuffled = np.random.default_rng(1).permutation(24)
    order = projections.leaf_order(projections.cosines(clusters(4, 6)[shuffled]))
    assert sorted(order) == list(range(24))
    groups = (shuffled[order] // 6).tolist()
    assert sum(a != b for a, b in itertools.pairwise(groups)) == 3, "each group stands in one piece"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_hardly_any_classes_have_an_order(count: int) -> None:
    assert sorted(projections.leaf_order(np.eye(count))) == list(range(count))


class InMemory:
    """Embeddings that are their own store."""

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = matrix

    def read(self, rows: np.ndarray) -> np.ndarray:
        return self.matrix[rows].astype(np.float32)


def test_an_image_does_not_vouch_for_itself() -> None:
    x = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.1, 1.0]])
    classes = np.array([0, 0, 0, 1])
    centers = {0: x[:3].mean(axis=0).astype(np.float32), 1: x[3].astype(np.float32)}
    found = outliers.outlier_scores(
        InMemory(x), np.arange(4), classes, np.ones(4, bool), centers, {0: 3, 1: 1}  # type: ignore[arg-type]
    )  # fmt: skip
    assert found.own[0] == pytest.approx(1.0), "the mean of the other two is at a right angle"
    assert np.isnan(found.own[3]), "alone in its class"
    assert found.nearest.tolist() == [1, 1, 1, 0]
    assert sorted(outliers.likely_mislabelled(found, 9).tolist()) == [0, 1, 2]
    assert outliers.find_outliers(found, 1).tolist() == [0]


def test_an_image_that_made_no_center_is_compared_with_all_of_it() -> None:
    x = np.array([[1.0, 0.0]])
    centers = {0: np.array([1.0, 1.0], np.float32)}
    found = outliers.outlier_scores(
        InMemory(x), np.array([0]), np.array([0]), np.zeros(1, bool), centers, {0: 4}  # type: ignore[arg-type]
    )  # fmt: skip
    assert found.own[0] == pytest.approx(1 - 0.5**0.5)
    assert (found.nearest.tolist(), np.isnan(found.other[0])) == ([-1], True)


def test_images_without_an_embedding_or_a_center_are_not_judged() -> None:
    centers = {0: np.array([1.0, 0.0], np.float32)}
    found = outliers.outlier_scores(
        InMemory(np.ones((1, 2))), np.array([-1, 0]), np.array([0, 7]), np.ones(2, bool), centers, {0: 4}  # type: ignore[arg-type]
    )  # fmt: skip
    assert np.isnan(found.own).all()
    assert outliers.find_outliers(found, 5).tolist() == []
