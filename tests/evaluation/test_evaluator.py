"""Nearest class mean accuracy over distances and random splits, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from imagenet_nk.config import EvaluateConfig
from imagenet_nk.evaluation import evaluator


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(8), [1, 2, 3, 4, 5, 6, 7, 8])
    return rng.normal(size=(36, 4)) + 0.8 * rng.normal(size=(8, 4))[classes] + 3, classes


def source(x, classes, batch=10):
    tensors = torch.from_numpy(x), torch.from_numpy(classes), torch.arange(len(x))
    return lambda: zip(*(tensor.split(batch) for tensor in tensors), strict=True)


def plain_loop(x, classes, name):
    """Ranks by leave-one-out, image by image, with nothing shared between images but CL2N's origin."""
    origin = x.mean(0)
    unit = lambda v: v / np.linalg.norm(v, axis=-1, keepdims=True)  # noqa: E731
    z = unit(x - origin) if name == "cl2n" else x
    ranks = []
    for i in range(len(z)):
        if (classes == classes[i]).sum() < 2:
            continue
        rest = np.arange(len(z)) != i
        means = {k: z[rest & (classes == k)].mean(0) for k in np.unique(classes[rest])}
        if name == "cosine":
            distances = {k: -unit(z[i]) @ unit(mean) for k, mean in means.items()}
        else:
            distances = {k: np.linalg.norm(z[i] - mean) for k, mean in means.items()}
        ranks.append(sorted(distances, key=distances.__getitem__).index(classes[i]))
    return ranks


@pytest.mark.parametrize("name", evaluator.DISTANCES)
def test_leave_one_out_equals_a_plain_loop(data, name):
    x, classes = data
    means = evaluator.ClassMeans.of(source(x, classes), 8, 4)
    predictions = evaluator.evaluate_distances(means, source(x, classes, 7), leave_one_out=True)[name]
    assert predictions.ranks.tolist() == plain_loop(x, classes, name)
    assert (predictions.nearest == predictions.classes).tolist() == (predictions.ranks == 0).tolist()


def test_random_splits_test_some_images_of_every_class(data):
    x, classes = data
    rows = evaluator._draw_test_rows(source(x, classes), 0.25, 1)
    assert np.bincount(classes[rows.numpy()], minlength=8).tolist() == [0, 1, 1, 1, 1, 2, 2, 2]


def test_random_splits_do_not_depend_on_the_batch_size(data):
    settings = EvaluateConfig(random_splits=4, test_fraction=0.25)
    first, second = (evaluator.random_splits(source(*data, batch), 8, 4, settings, 0) for batch in (10, 36))
    assert first == second
    assert len(set(first["euclidean"]["values"])) > 1
