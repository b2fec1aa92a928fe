"""Nearest class mean (NCM) classification (Mensink et al. 2013): an image gets the class with the nearest mean.

Letters: B batch, K classes, D embedding size. Distances are squared if that does not change their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

TOP = 5


class Distance(Protocol):
    """Distances of embeddings to class means in some geometry."""

    def __call__(self, embeddings_BD: Tensor, means_KD: Tensor) -> Tensor:
        """(B, K); or (B, 1) for means of shape (B, 1, D), one for each embedding."""


def euclidean(embeddings_BD: Tensor, means_KD: Tensor) -> Tensor:
    """Squared Euclidean distance, |x - c|^2."""
    if means_KD.ndim == 3:
        return (embeddings_BD[:, None] - means_KD).square().sum(2)
    products_BK = embeddings_BD @ means_KD.T
    return embeddings_BD.square().sum(1, keepdim=True) - 2 * products_BK + means_KD.square().sum(1)


def cosine(embeddings_BD: Tensor, means_KD: Tensor) -> Tensor:
    """Cosine distance, 1 - x.c / (|x| |c|)."""
    directions = normalize(means_KD, dim=-1)
    unit_BD = normalize(embeddings_BD, dim=1)
    if directions.ndim == 3:
        return 1 - (unit_BD[:, None] * directions).sum(2)
    return 1 - unit_BD @ directions.T


def leave_one_out(embeddings_BD: Tensor, means_KD: Tensor, counts_K: Tensor, classes_B: Tensor) -> Tensor:
    """(B, D): the mean of each image's own class without that image, (n c - x) / (n - 1); needs n >= 2."""
    n_B1 = counts_K[classes_B][:, None].double()
    return (n_B1 * means_KD[classes_B] - embeddings_BD) / (n_B1 - 1)


def true_class_rank(distances_BK: Tensor, classes_B: Tensor) -> Tensor:
    """(B,) number of classes nearer than the true one; of equal distances, the lower row is the nearer."""
    own_B1 = distances_BK.gather(1, classes_B[:, None])
    lower_BK = torch.arange(distances_BK.shape[1]) < classes_B[:, None]
    return ((distances_BK < own_B1) | ((distances_BK == own_B1) & lower_BK)).sum(1)


@dataclass(frozen=True)
class Predictions:
    """The nearest class of each image, and the rank of its true class, under one distance."""

    classes: NDArray[np.int64]  # (N,) row of the true class
    ranks: NDArray[np.int64]  # (N,) of the true class; 0 = it is the nearest
    nearest: NDArray[np.int64]  # (N,) row of the nearest class

    def top(self, n: int) -> float:
        """Top-n accuracy: the fraction of images whose class is among the n nearest; nan without images."""
        return float((self.ranks < n).mean()) if len(self.ranks) else float("nan")


def classify(
    embeddings_BD: Tensor, classes_B: Tensor, means_KD: Tensor, distance: Distance, counts_K: Tensor | None = None
) -> Predictions:
    """Classify embeddings by the nearest mean, in float64.

    With counts_K, the number of images behind each mean, every image is left out of its own class's mean; each class
    must then have two images or more.
    """
    x_BD, means_KD = embeddings_BD.double(), means_KD.double()
    distances_BK = distance(x_BD, means_KD)
    if counts_K is not None:
        own_B1D = leave_one_out(x_BD, means_KD, counts_K, classes_B)[:, None]
        distances_BK = distances_BK.scatter(1, classes_B[:, None], distance(x_BD, own_B1D))
    return Predictions(
        classes_B.numpy(), true_class_rank(distances_BK, classes_B).numpy(), distances_BK.argmin(1).numpy()
    )
