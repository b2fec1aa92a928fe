"""Classifiers over embeddings against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from imagenet_nk.errors import EmptyClassError
from imagenet_nk.evaluation.heads.classifiers import CLASSIFIERS, cosine_class_means, knn, ridge

CLASSES = 4


def clusters(images: int, dim: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    classes_N = np.arange(images) % CLASSES
    x_ND = np.random.default_rng(7).normal(size=(CLASSES, dim))[classes_N] + rng.normal(size=(images, dim))
    return torch.from_numpy(x_ND).float(), torch.from_numpy(classes_N)


def unit(x_ND: np.ndarray) -> np.ndarray:
    return x_ND / np.linalg.norm(x_ND, axis=1, keepdims=True)


def test_cosine_class_means_equal_numpy() -> None:
    (train, classes), (test, _) = clusters(40, 6), clusters(30, 6, seed=1)
    x, y = train.double().numpy(), classes.numpy()
    means = np.stack([x[y == k].mean(0) for k in range(CLASSES)])
    expected = unit(test.double().numpy()) @ unit(means).T
    np.testing.assert_allclose(cosine_class_means(train, classes, CLASSES, test), expected, rtol=1e-10)


@pytest.mark.parametrize("images", [12, 200])  # fewer than 20 neighbors, and more
def test_knn_equals_a_loop_over_sorted_neighbors(images: int) -> None:
    (train, classes), (test, _) = clusters(images, 6), clusters(50, 6, seed=1)
    x, z, y = unit(train.double().numpy()), unit(test.double().numpy()), classes.numpy()
    expected = np.zeros((50, CLASSES))
    for row, similarities in enumerate(z @ x.T):
        for image in np.argsort(-similarities, kind="stable")[:20]:
            expected[row, y[image]] += np.exp(similarities[image] / 0.07)
    scores = knn(train, classes, CLASSES, test)
    np.testing.assert_allclose(scores, expected, rtol=1e-9)
    assert (scores.argmax(1).numpy() == expected.argmax(1)).all()


def test_knn_counts_the_first_of_equally_near_images() -> None:
    train = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    scores = knn(train, torch.tensor([1, 0]), 2, torch.tensor([[2.0, 0.0]]), neighbors=1)
    assert scores.argmax(1).tolist() == [1]


@pytest.mark.parametrize(("images", "dim"), [(24, 40), (200, 10)], ids=["dual", "primal"])
def test_ridge_equals_the_normal_equations(images: int, dim: int) -> None:
    (train, classes), (test, _) = clusters(images, dim), clusters(30, dim, seed=1)
    x, y = train.double().numpy(), classes.numpy()
    mean, std = x.mean(0), x.std(0) + 1e-5
    features = np.hstack([(x - mean) / std, np.full((images, 1), 100.0)])
    targets = np.where(y[:, None] == np.arange(CLASSES), 1.0, -1.0)
    weights = np.linalg.inv(features.T @ features + 2**10 * np.eye(dim + 1)) @ features.T @ targets
    expected = np.hstack([(test.double().numpy() - mean) / std, np.full((30, 1), 100.0)]) @ weights
    np.testing.assert_allclose(ridge(train, classes, CLASSES, test), expected, atol=1e-6)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_well_separated_classes_are_predicted(name: str) -> None:
    train, classes = clusters(40, 16)
    scores = CLASSIFIERS[name](train + 8 * torch.eye(16)[classes], classes, CLASSES, 8 * torch.eye(16)[:CLASSES])
    assert scores.argmax(1).tolist() == list(range(CLASSES))


def test_class_without_training_image_is_refused() -> None:
    with pytest.raises(EmptyClassError):
        cosine_class_means(torch.ones(2, 3), torch.tensor([0, 0]), 2, torch.ones(1, 3))
