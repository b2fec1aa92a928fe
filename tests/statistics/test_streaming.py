"""Every statistic equals plain numpy, whatever the batch size and order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from imagenet_nk.errors import EmptyClassError
from imagenet_nk.statistics import streaming

K, D, N = 5, 7, 60


@pytest.fixture(scope="module")
def data():
    """Embeddings with a large common offset, so that a careless sum of squares would cancel."""
    rng = np.random.default_rng(3)
    classes = np.concatenate([np.arange(K), rng.integers(0, K, N - K)])
    return (1000 + rng.normal(size=(N, D)) + classes[:, None]).astype(np.float32), classes


def streamed(statistic, data, batch, seed, with_rows=False):
    """The result of a statistic over batches; a seed shuffles the rows."""
    x, classes = torch.from_numpy(data[0]), torch.from_numpy(data[1])
    rows = torch.from_numpy(np.random.default_rng(seed).permutation(N)) if seed else torch.arange(N)
    for part in rows.split(batch):
        statistic.add(*(x[part], classes[part], part)[: 3 if with_rows else 2])
    return statistic.result()


over_batches = pytest.mark.parametrize("way", [(1, 0), (7, 1), (64, 0), (7, 2), (1, 3), (64, 4)])


def by_class(data, function):
    x, classes = data[0].astype(np.float64), data[1]
    return np.stack([function(x[classes == k]) for k in range(K)])


@over_batches
def test_mean_equals_numpy(data, way):
    result = streamed(streaming.Mean(K, D), data, *way)
    np.testing.assert_allclose(result, by_class(data, lambda x: x.mean(0)), rtol=1e-12)


@over_batches
def test_normalized_mean_equals_numpy(data, way):
    origin = data[0].astype(np.float64).mean(0)
    wanted = by_class(data, lambda x: ((x - origin) / np.linalg.norm(x - origin, axis=1, keepdims=True)).mean(0))
    made = streamed(streaming.NormalizedMean(K, D, torch.from_numpy(origin)), data, *way)
    np.testing.assert_allclose(made, wanted, rtol=1e-9)


@over_batches
def test_spread_equals_numpy(data, way):
    wanted = by_class(data, lambda x: np.sqrt(((x - x.mean(0)) ** 2).sum(1).mean()))
    np.testing.assert_allclose(streamed(streaming.Spread(K, D), data, *way), wanted, rtol=1e-6)


@over_batches
def test_medoid_equals_numpy(data, way):
    means = torch.from_numpy(by_class(data, lambda x: x.mean(0)))
    result = streamed(streaming.Medoid(means), data, *way, with_rows=True)
    distances = np.linalg.norm(data[0].astype(np.float64) - means.numpy()[data[1]], axis=1)
    assert result.tolist() == [int(np.flatnonzero(data[1] == k)[distances[data[1] == k].argmin()]) for k in range(K)]


def test_lowest_of_equally_near_rows_is_the_medoid():
    medoid = streaming.Medoid(torch.zeros(1, 2))
    medoid.add(torch.tensor([[1.0, 0], [0, 1.0]]), torch.tensor([0, 0]), torch.tensor([9, 4]))
    assert medoid.result().tolist() == [4]


def test_class_without_an_image_raises():
    for statistic in (streaming.Mean(2, 3), streaming.Spread(2, 3)):
        statistic.add(torch.ones(1, 3), torch.tensor([1]))
        with pytest.raises(EmptyClassError) as raised:
            statistic.result()
        assert raised.value.classes == (0,)
