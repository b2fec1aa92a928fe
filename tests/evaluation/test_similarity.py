"""Similarity of backbones and compactness of classes against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from imagenet_nk.evaluation.similarity import Batches, linear_cka, within_between_ratio


def batches(x: torch.Tensor, classes: torch.Tensor) -> Batches:
    return lambda: zip(x.split(7), classes.split(7), strict=True)


@pytest.mark.parametrize(("images", "dims"), [(50, (6, 9)), (8, (30, 40))])
def test_linear_cka_equals_its_definition_by_gram_matrices(images: int, dims: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(images, dim)) for dim in dims)
    centering = np.eye(images) - 1 / images
    gram_x, gram_y = (centering @ each @ each.T @ centering for each in (x, y))
    expected = np.trace(gram_x @ gram_y) / np.sqrt(np.trace(gram_x @ gram_x) * np.trace(gram_y @ gram_y))
    assert linear_cka(torch.from_numpy(x), torch.from_numpy(y)) == pytest.approx(expected, abs=1e-10)


def test_linear_cka_of_a_rotated_and_scaled_embedding_is_one() -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(40, 6)))
    rotation = torch.linalg.qr(torch.from_numpy(rng.normal(size=(6, 6)))).Q
    assert linear_cka(x, 3 * x @ rotation + 1) == pytest.approx(1)


@pytest.mark.parametrize("dim", [6, 40])
def test_within_between_ratio_equals_its_definition(dim: int) -> None:
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 4, 60)
    x = rng.normal(size=(4, dim))[classes] + 0.3 * rng.normal(size=(60, dim))
    means, overall = np.stack([x[classes == k].mean(0) for k in range(4)]), x.mean(0)
    within = sum(np.outer(row, row) for row in x - means[classes]) / 60
    between = sum((classes == k).mean() * np.outer(means[k] - overall, means[k] - overall) for k in range(4))
    expected = np.trace(within @ np.linalg.pinv(between, rcond=1e-12)) / 4
    ratio = within_between_ratio(batches(torch.from_numpy(x), torch.from_numpy(classes)), 4, dim)
    assert ratio == pytest.approx(expected, rel=1e-8)


def test_within_between_ratio_of_collapsed_classes_is_zero() -> None:
    means = torch.eye(3)[torch.arange(9) % 3]
    assert within_between_ratio(batches(means, torch.arange(9) % 3), 3, 3) == pytest.approx(0, abs=1e-12)
