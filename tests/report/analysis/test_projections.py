from __future__ import annotations

import itertools

import numpy as np
import pytest

from imagenet_nk.report.analysis import projections


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
def test_pca_of_up_to_two_points_is_finite(count: int) -> None:
    points, shares = projections.pca(np.ones((count, 5)))
    assert points.tolist() == [[0.0, 0.0]] * count
    assert shares.tolist() == [0.0, 0.0]


def test_tsne_keeps_clusters_together_and_is_deterministic() -> None:
    x = clusters(5, 8)
    found = projections.tsne(x)
    groups = found.reshape(5, 8, 2)
    middles = groups.mean(axis=1)
    within = np.linalg.norm(groups - middles[:, None], axis=2).max()
    apart = np.linalg.norm(middles[:, None] - middles, axis=2)[~np.eye(5, dtype=bool)].min()
    assert apart > within
    assert np.array_equal(found, projections.tsne(x))


def test_leaf_order_puts_similar_classes_together() -> None:
    shuffled = np.random.default_rng(1).permutation(24)
    order = projections.leaf_order(projections.cosines(clusters(4, 6)[shuffled]))
    assert sorted(order) == list(range(24))
    groups = (shuffled[order] // 6).tolist()
    assert sum(a != b for a, b in itertools.pairwise(groups)) == 3, "each group stands in one piece"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_leaf_order_of_up_to_two_classes(count: int) -> None:
    assert sorted(projections.leaf_order(np.eye(count))) == list(range(count))
