"""Nearest class mean, its intervals and tables."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from imagenet_nk.config import EvaluateConfig
from imagenet_nk.evaluation import evaluator, metrics, ncm
from imagenet_nk.evaluation.ncm import Predictions


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(8), [1, 2, 3, 4, 5, 6, 7, 8])
    return rng.normal(size=(36, 4)) + 0.8 * rng.normal(size=(8, 4))[classes] + 3, classes


def reading(x, classes, batch=10):
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
def test_leave_one_out_is_a_plain_loop(data, name):
    x, classes = data
    means = evaluator.ClassMeans.of(reading(x, classes), 8, 4)
    judged = evaluator.evaluate_distances(means, reading(x, classes, 7), leave_one_out=True)[name]
    assert judged.ranks.tolist() == plain_loop(x, classes, name)
    assert (judged.nearest == judged.classes).tolist() == (judged.ranks == 0).tolist()


def test_the_judged_image_is_not_in_its_own_mean():
    x = torch.tensor([[0.0], [10.0], [4.9], [5.1]]).double()
    classes = torch.tensor([0, 0, 1, 1])
    mean = torch.tensor([[5.0], [5.0]]).double()
    judged = ncm.classify(x, classes, mean, ncm.euclidean, torch.tensor([2, 2]))
    assert judged.ranks.tolist() == [1, 1, 1, 1]  # with itself in the mean the last two would be hits


def test_of_equal_distances_the_lower_class_is_the_nearest():
    x, classes = torch.zeros(2, 3).double(), torch.tensor([0, 2])
    judged = ncm.classify(x, classes, torch.ones(4, 3).double(), ncm.euclidean)
    assert judged.ranks.tolist() == [0, 2]


def test_intervals_hold_the_share_and_narrow_with_the_images():
    def interval(n):
        ranks = (np.arange(n) % 4 == 0).astype(np.int64)
        figure = metrics.topk_accuracy(Predictions(np.zeros(n, np.int64), ranks, ranks), 9, 2000, 0)["top1"]
        low, high = figure["ci95"]
        assert low <= figure["value"] == 0.75 <= high
        return high - low

    assert interval(4000) == pytest.approx(2 * 1.96 * np.sqrt(0.75 * 0.25 / 4000), rel=0.1)
    assert interval(100) > 3 * interval(4000)


def test_top5_says_nothing_about_five_classes():
    judged = Predictions(np.zeros(3, np.int64), np.arange(3), np.zeros(3, np.int64))
    assert metrics.topk_accuracy(judged, 5, 0, 0)["top5"] is None
    assert metrics.topk_accuracy(judged, 6, 0, 0)["top5"] == {"value": 1.0}


def test_classes_and_pairs():
    judged = Predictions(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 2, 1, 0]), np.array([0, 2, 0, 0, 1]))
    assert metrics.per_class_accuracy(judged, 3) == [0.5, pytest.approx(1 / 3), None]
    assert metrics.confusion_pairs(judged, 5) == [(1, 0, 2), (0, 2, 1)]
    assert metrics.confusion_pairs(judged, 1) == [(1, 0, 2)]


def test_divisions_judge_other_images_than_those_of_the_centers(data):
    x, classes = data
    rows = evaluator._draw_test_rows(reading(x, classes), 0.25, 1)
    counted = np.bincount(classes[rows.numpy()], minlength=8)
    assert counted.tolist() == [0, 1, 1, 1, 1, 2, 2, 2]
    made = evaluator.random_splits(reading(x, classes), 8, 4, EvaluateConfig(random_splits=4, test_fraction=0.25), 0)
    assert len(set(made["euclidean"]["values"])) > 1
    again = evaluator.random_splits(
        reading(x, classes, 36), 8, 4, EvaluateConfig(random_splits=4, test_fraction=0.25), 0
    )
    assert made == again
