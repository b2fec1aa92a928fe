"""K-means within classes equals plain numpy."""

from __future__ import annotations

import numpy as np
import torch

from imagenet_nk.statistics import iterative

K, D, N = 5, 7, 60


def batches_of(x, classes, size=7):
    tensors = torch.from_numpy(x), torch.from_numpy(classes)
    return lambda: zip(*(tensor.split(size) for tensor in tensors), strict=True)


def test_steps_equal_plain_numpy():
    rng = np.random.default_rng(3)
    classes = np.concatenate([np.arange(K), np.arange(K), rng.integers(0, K, N - 2 * K)])
    x = rng.normal(size=(N, D)) + classes[:, None]
    start = np.stack([x[classes == k][:2] for k in range(K)])  # (K, 2, D): each point is an image
    distances = np.linalg.norm(x[:, None] - start[classes], axis=2)

    result = iterative.run_epoch(iterative.LloydStep(torch.from_numpy(start)), batches_of(x, classes))
    nearest = distances.argmin(1)
    means = [[x[(classes == k) & (nearest == p)].mean(0) for p in range(2)] for k in range(K)]
    np.testing.assert_allclose(result, means, rtol=1e-12)

    result = iterative.run_epoch(iterative.FarthestPoint(torch.from_numpy(start)), batches_of(x, classes))
    farthest = [x[classes == k][distances.min(1)[classes == k].argmax()] for k in range(K)]
    np.testing.assert_array_equal(result, farthest)


def test_prototypes_are_the_clusters_of_a_class():
    rng = np.random.default_rng(1)
    clusters = [rng.normal(place, 0.1, (10, 2)) for place in ((0, 0), (5, 0), (0, 5))]
    x = np.concatenate(clusters)
    batches = batches_of(x, np.zeros(30, np.int64))
    points, counts = iterative.prototypes(torch.from_numpy(x.mean(0))[None], 3, batches)
    assert counts.tolist() == [[10, 10, 10]]
    means = [cluster.mean(0).tolist() for cluster in clusters]
    np.testing.assert_allclose(sorted(points[0].tolist()), sorted(means), rtol=1e-9)


def test_class_with_fewer_images_than_prototypes_has_empty_ones():
    x = np.array([[1.0, 2.0]])
    points, counts = iterative.prototypes(torch.from_numpy(x), 3, batches_of(x, np.zeros(1, np.int64)))
    assert counts.sum() == 1
    np.testing.assert_allclose(points[0, counts[0].argmax()], x[0])
