"""What the embeddings of several backbones have in common, and how compact their classes are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from imagenet_nk.statistics.streaming import Mean

Batches = Callable[[], Iterator[tuple[Tensor, Tensor]]]  # starts a pass: (B, D) embeddings, (B,) classes


def linear_cka(x_ND: Tensor, y_NE: Tensor) -> float:
    """Linear centered kernel alignment of two embeddings of the same N images, 0 to 1 (Kornblith et al. 2019, eq. 5).

    1 for embeddings that differ by a rotation and a scale. nan where one of them is constant.
    """
    x_ND, y_NE = x_ND.double() - x_ND.double().mean(0), y_NE.double() - y_NE.double().mean(0)
    if len(x_ND) < min(x_ND.shape[1], y_NE.shape[1]):  # the N x N form costs less
        x_NN, y_NN = x_ND @ x_ND.T, y_NE @ y_NE.T
        return float((x_NN * y_NN).sum() / (x_NN.norm() * y_NN.norm()))
    return float((x_ND.T @ y_NE).square().sum() / ((x_ND.T @ x_ND).norm() * (y_NE.T @ y_NE).norm()))


def within_between_ratio(batches: Batches, classes: int, dim: int) -> float:
    """NC1 of neural collapse, trace(S_W S_B^+) / K: 0 when every image lies on its class mean (Papyan et al. 2020).

    S_W and S_B are the within- and between-class covariance, each class weighing as its number of images. Reads the
    embeddings twice and holds the class means alone.
    """
    mean = Mean(classes, dim)
    for x_BD, classes_B in batches():
        mean.add(x_BD, classes_B)
    means_KD, total = mean.result(), int(mean.counts_K.sum())
    centered_KD = (means_KD - mean.grand_mean()) * (mean.counts_K.double() / total).sqrt()[:, None]
    # S_B = C^T C of rank < K: its pseudo-inverse comes from the thin SVD of C, without a D x D eigenproblem.
    _, values_R, directions_RD = torch.linalg.svd(centered_KD, full_matrices=False)
    solid = values_R > values_R.max() * max(centered_KD.shape) * torch.finfo(torch.float64).eps
    projection_DR = (directions_RD[solid] / values_R[solid, None]).T
    squares = sum(float(((x.double() - means_KD[k]) @ projection_DR).square().sum()) for x, k in batches())
    return squares / total / classes
