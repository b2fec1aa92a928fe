"""Out-of-distribution scores against pytorch-ood and plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytorch_ood.detector import RMD, Mahalanobis
from pytorch_ood.metrics import OODMetrics

from imagenet_nk.evaluation import ood

CLASSES, DIM = 5, 8


@pytest.fixture(scope="module")
def data() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    classes_N = torch.arange(200) % CLASSES
    centers = rng.normal(size=(CLASSES, DIM)) * 3
    train_ND = centers[classes_N.numpy()] + rng.normal(size=(200, DIM)) @ rng.normal(size=(DIM, DIM))
    return torch.from_numpy(train_ND), classes_N, torch.from_numpy(rng.normal(size=(60, DIM)) * 4)


def test_mahalanobis_equals_pytorch_ood(data: tuple[torch.Tensor, ...]) -> None:
    train, classes, x = data
    detector = Mahalanobis(None).fit_features(train.float(), classes)
    expected = detector.predict_features(x.float()) * 2 * len(train)  # theirs: half, and a scatter that is not / N
    torch.testing.assert_close(
        ood.mahalanobis(train, classes, CLASSES, x), expected.double(), rtol=1e-4, atol=1e-5 * len(train)
    )


def test_mahalanobis_equals_numpy(data: tuple[torch.Tensor, ...]) -> None:
    train, classes, x = (part.numpy() for part in data)
    means = np.stack([train[classes == k].mean(0) for k in range(CLASSES)])
    deviations = train - means[classes]
    precision = np.linalg.inv(deviations.T @ deviations / len(train))
    expected = [min((z - m) @ precision @ (z - m) for m in means) for z in x]
    np.testing.assert_allclose(ood.mahalanobis(*data[:2], CLASSES, data[2]), expected, rtol=1e-5)


def test_relative_mahalanobis_equals_pytorch_ood(data: tuple[torch.Tensor, ...]) -> None:
    train, classes, x = data
    detector = RMD(None).fit_features(train.float(), classes)
    expected = detector.predict_features(x.float()) * len(train)
    ours = ood.relative_mahalanobis(train, classes, CLASSES, x)
    assert np.corrcoef(ours, expected)[0, 1] > 0.9999
    background = ood.background_gaussian(train).squared_distances(x)
    centered = x - train.mean(0)
    covariance = np.cov(train.numpy().T, bias=True)
    np.testing.assert_allclose(
        background, (centered.numpy() @ np.linalg.inv(covariance) * centered.numpy()).sum(1), rtol=1e-5
    )


def test_nearest_center_and_knn_equal_numpy(data: tuple[torch.Tensor, ...]) -> None:
    train, classes, x = (part.numpy() for part in data)
    means = np.stack([train[classes == k].mean(0) for k in range(CLASSES)])
    nearest = np.linalg.norm(x[:, None] - means, axis=2).min(1)
    tenth = np.sort(np.linalg.norm(x[:, None] - train, axis=2), axis=1)[:, 9]
    np.testing.assert_allclose(ood.nearest_center(*data[:2], CLASSES, data[2]), nearest, rtol=1e-9)
    np.testing.assert_allclose(ood.knn(*data[:2], CLASSES, data[2]), tenth, rtol=1e-9)


def test_auroc_and_fpr_equal_pytorch_ood() -> None:
    rng = np.random.default_rng(0)
    inside = torch.from_numpy(rng.normal(size=300).round(1))  # rounded: with ties
    outside = torch.from_numpy(rng.normal(1, size=200).round(1))
    metrics = OODMetrics()
    metrics.update(torch.cat([inside, outside]), torch.cat([torch.zeros(300), -torch.ones(200)]))
    expected = metrics.compute()
    assert ood.auroc(inside, outside) == pytest.approx(expected["AUROC"], abs=1e-5)
    assert ood.fpr_at_95_tpr(inside, outside) == pytest.approx(expected["FPR95TPR"], abs=1e-5)


def test_scores_of_separate_distributions_are_perfect() -> None:
    assert ood.auroc(torch.zeros(5), torch.ones(5)) == 1
    assert ood.auroc(torch.ones(5), torch.ones(5)) == 0.5
    assert ood.fpr_at_95_tpr(torch.zeros(5), torch.ones(5)) == 0


def test_every_score_is_evaluated_on_raw_and_unit_embeddings(data: tuple[torch.Tensor, ...]) -> None:
    train, classes, x = data
    result = ood.evaluate_ood(train, classes, CLASSES, train[:20], x)
    assert {(name, space) for name, spaces in result.items() for space in spaces} == {
        (name, space) for name in ood.SCORES for space in ("raw", "unit")
    }
    assert all(
        0 <= value <= 1 for spaces in result.values() for figures in spaces.values() for value in figures.values()
    )


def test_fewer_images_than_features_have_a_score() -> None:
    rng = np.random.default_rng(0)
    train = torch.from_numpy(rng.normal(size=(6, 20)))
    scores = ood.mahalanobis(train, torch.tensor([0, 0, 0, 1, 1, 1]), 2, torch.from_numpy(rng.normal(size=(4, 20))))
    assert torch.isfinite(scores).all()
