"""Every statistic against plain numpy, over batch sizes, shard counts and orders."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from imagenet_nk.errors import EmptyClassError
from imagenet_nk.statistics import iterative, streaming

K, D, N = 5, 7, 60


@pytest.fixture(scope="module")
def data():
    """Embeddings with a large common offset, so that a careless sum of squares would cancel."""
    rng = np.random.default_rng(3)
    classes = np.concatenate([np.arange(K), rng.integers(0, K, N - K)])
    return (1000 + rng.normal(size=(N, D)) + classes[:, None]).astype(np.float32), classes


def parts(data, batch, shards, order):
    """Shards of batches of (embeddings, classes, rows), in an order."""
    x, classes = torch.from_numpy(data[0]), torch.from_numpy(data[1])
    rows = torch.from_numpy(np.random.default_rng(order).permutation(N)) if order else torch.arange(N)
    return [[(x[cut], classes[cut], cut) for cut in shard.split(batch)] for shard in rows.tensor_split(shards)]


def streamed(make, data, batch, shards, order, with_rows=False):
    """One statistic over all batches, in the given order."""
    statistic = make()
    for shard in parts(data, batch, shards, order):
        for x, classes, rows in shard:
            statistic.add(x, classes, rows) if with_rows else statistic.add(x, classes)
    return statistic.result()


WAYS = [(1, 1, 0), (7, 1, 1), (64, 1, 0), (7, 3, 2), (1, 5, 3), (64, 2, 4)]


def by_class(data, function):
    x, classes = data[0].astype(np.float64), data[1]
    return np.stack([function(x[classes == k]) for k in range(K)])


@pytest.mark.parametrize("way", WAYS)
def test_mean(data, way):
    result = streamed(lambda: streaming.Mean(K, D), data, *way)
    np.testing.assert_allclose(result, by_class(data, lambda x: x.mean(0)), rtol=1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_normalized_mean(data, way):
    wanted = by_class(data, lambda x: (x / np.linalg.norm(x, axis=1, keepdims=True)).mean(0))
    np.testing.assert_allclose(streamed(lambda: streaming.NormalizedMean(K, D), data, *way), wanted, rtol=1e-12)
    origin = data[0].astype(np.float64).mean(0)
    wanted = by_class(data, lambda x: ((x - origin) / np.linalg.norm(x - origin, axis=1, keepdims=True)).mean(0))
    made = streamed(lambda: streaming.NormalizedMean(K, D, torch.from_numpy(origin)), data, *way)
    np.testing.assert_allclose(made, wanted, rtol=1e-9)


@pytest.mark.parametrize("way", WAYS)
def test_spread(data, way):
    wanted = by_class(data, lambda x: np.sqrt(((x - x.mean(0)) ** 2).sum(1).mean()))
    np.testing.assert_allclose(streamed(lambda: streaming.Spread(K, D), data, *way), wanted, rtol=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_nearest(data, way):
    means = torch.from_numpy(by_class(data, lambda x: x.mean(0)))
    result = streamed(lambda: streaming.Medoid(means), data, *way, with_rows=True)
    distances = np.linalg.norm(data[0].astype(np.float64) - means.numpy()[data[1]], axis=1)
    assert result.tolist() == [int(np.flatnonzero(data[1] == k)[distances[data[1] == k].argmin()]) for k in range(K)]


def test_of_equally_near_images_the_first_of_the_list_is_the_medoid():
    nearest = streaming.Medoid(torch.zeros(1, 2))
    nearest.add(torch.tensor([[1.0, 0], [0, 1.0]]), torch.tensor([0, 0]), torch.tensor([9, 4]))
    assert nearest.result().tolist() == [4]


@pytest.mark.parametrize("way", WAYS)
def test_shared_covariance(data, way):
    means = by_class(data, lambda x: x.mean(0))
    deviations = data[0].astype(np.float64) - means[data[1]]
    result = streamed(lambda: streaming.SharedCovariance(torch.from_numpy(means)), data, *way)
    np.testing.assert_allclose(result, deviations.T @ deviations / (N - K), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("way", WAYS)
def test_one_step_of_lloyd_and_farthest_point(data, way):
    start = by_class(data, lambda x: x[:2])  # (K, 2, D): the first stands on an image
    points = torch.from_numpy(start)
    x, classes = data[0].astype(np.float64), data[1]

    result = streamed(lambda: iterative.LloydStep(points), data, *way)
    nearest = np.array([np.linalg.norm(start[k] - row, axis=1).argmin() for row, k in zip(x, classes, strict=True)])
    wanted = [[x[(classes == k) & (nearest == p)].mean(0) for p in range(2)] for k in range(K)]
    np.testing.assert_allclose(result, wanted, rtol=1e-12)

    result = streamed(lambda: iterative.FarthestPoint(points), data, *way)
    away = np.array([np.linalg.norm(start[k] - row, axis=1).min() for row, k in zip(x, classes, strict=True)])
    np.testing.assert_array_equal(result, [x[classes == k][away[classes == k].argmax()] for k in range(K)])


def batches_of(x, classes):
    return lambda: iter([(torch.from_numpy(x), torch.from_numpy(classes))])


def test_prototypes_find_the_clusters_of_a_class():
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(place, 0.1, (10, 2)) for place in ((0, 0), (5, 0), (0, 5))])
    classes = np.zeros(30, np.int64)
    points, counts = iterative.prototypes(torch.from_numpy(x.mean(0))[None], 3, batches_of(x, classes))
    assert counts.tolist() == [[10, 10, 10]]
    wanted = [x[:10].mean(0), x[10:20].mean(0), x[20:].mean(0)]
    np.testing.assert_allclose(sorted(points[0].tolist()), sorted(map(list, wanted)), rtol=1e-9)


def test_a_class_with_fewer_images_than_prototypes():
    x = np.array([[1.0, 2.0]])
    points, counts = iterative.prototypes(torch.from_numpy(x), 3, batches_of(x, np.zeros(1, np.int64)))
    assert counts.sum() == 1
    np.testing.assert_allclose(points[0, counts[0].argmax()], x[0])


def test_a_class_without_an_image_has_no_statistic():
    for statistic in (streaming.Mean(2, 3), streaming.Spread(2, 3)):
        statistic.add(torch.ones(1, 3), torch.tensor([1]))
        with pytest.raises(EmptyClassError) as raised:
            statistic.result()
        assert raised.value.classes == (0,)
