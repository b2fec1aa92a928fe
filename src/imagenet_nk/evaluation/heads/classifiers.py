"""Classifiers over frozen embeddings: nearest class mean, k nearest neighbours, ridge regression.

Each is fitted on N training embeddings and returns (M, K) scores of M others, the largest for the predicted class.
Letters: N training images, M test images, K classes, D embedding size.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from imagenet_nk.statistics.streaming import Mean

Classifier = Callable[[Tensor, Tensor, int, Tensor], Tensor]  # (N, D), (N,), K, (M, D) to (M, K)

KNN_NEIGHBORS, KNN_TEMPERATURE = 20, 0.07  # DINOv2's evaluation (Oquab et al. 2023)
RIDGE_L2, RIDGE_BIAS, RIDGE_EPSILON = 2.0**10, 100.0, 1e-5  # big_vision's evaluators/fewshot_lsr.py
_ROWS = 1024  # test images whose similarities to all training images are in memory at a time


def cosine_class_means(train_ND: Tensor, classes_N: Tensor, classes: int, test_MD: Tensor) -> Tensor:
    """(M, K) cosine similarities to the class means. Raises EmptyClassError if a class has no training image."""
    mean = Mean(classes, train_ND.shape[1])
    mean.add(train_ND, classes_N)
    return normalize(test_MD.double(), dim=1) @ normalize(mean.result(), dim=1).T


def knn(
    train_ND: Tensor,
    classes_N: Tensor,
    classes: int,
    test_MD: Tensor,
    neighbors: int = KNN_NEIGHBORS,
    temperature: float = KNN_TEMPERATURE,
) -> Tensor:
    """(M, K) sums of exp(cosine / temperature) over the nearest training images of each class.

    The weighted vote of Wu et al. (2018), sec. 3.4, as DINO and DINOv2 evaluate. With fewer training images than
    neighbors, all of them vote; of equally near images, the first in the list.
    """
    unit_ND, count = normalize(train_ND.double(), dim=1), min(neighbors, len(train_ND))
    votes_MK = torch.zeros(len(test_MD), classes, dtype=torch.float64)
    for start in range(0, len(test_MD), _ROWS):
        rows = slice(start, start + _ROWS)
        similarities_BN = normalize(test_MD[rows].double(), dim=1) @ unit_ND.T
        nearest_BN = similarities_BN.sort(dim=1, descending=True, stable=True)
        weights_BC = (nearest_BN.values[:, :count] / temperature).exp()
        votes_MK[rows].scatter_add_(1, classes_N[nearest_BN.indices[:, :count]], weights_BC)
    return votes_MK


def ridge(train_ND: Tensor, classes_N: Tensor, classes: int, test_MD: Tensor, l2: float = RIDGE_L2) -> Tensor:
    """(M, K) outputs of ridge regression on targets of 1 for the own class and -1 for the others.

    The few-shot evaluator of big_vision (Beyer et al. 2022): embeddings are standardised by the training images, a
    constant feature of 100 serves as a bias that is hardly regularised, and the l2 penalty is 2^10. Solved in its
    primal form, or in the dual one where there are fewer images than features.
    """
    train_ND = train_ND.double()
    mean_D, std_D = train_ND.mean(0), train_ND.std(0, correction=0) + RIDGE_EPSILON
    x_NF, x_MF = _with_bias((train_ND - mean_D) / std_D), _with_bias((test_MD.double() - mean_D) / std_D)
    targets_NK = 2 * one_hot(classes_N, classes).double() - 1
    images, features = x_NF.shape
    if images < features:
        gram_NN = x_NF @ x_NF.T + l2 * torch.eye(images, dtype=torch.float64)
        weights_FK: Tensor = x_NF.T @ torch.linalg.solve(gram_NN, targets_NK)
    else:
        gram_FF = x_NF.T @ x_NF + l2 * torch.eye(features, dtype=torch.float64)
        weights_FK = torch.linalg.solve(gram_FF, x_NF.T @ targets_NK)
    return x_MF @ weights_FK


def _with_bias(x_ND: Tensor) -> Tensor:
    return torch.nn.functional.pad(x_ND, (0, 1), value=RIDGE_BIAS)


CLASSIFIERS: dict[str, Classifier] = {"ncm": cosine_class_means, "knn": knn, "ridge": ridge}
