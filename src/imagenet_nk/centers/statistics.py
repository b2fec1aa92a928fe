"""Statistics of the embeddings of each class, streamed and mergeable.

Each has `add` (a batch), `merge` (another of its kind) and `result`. Letters: B batch, K classes, D embedding size.
Sums are float64, so batch size and order, and the order of merging, move a result by float64 rounding only.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from imagenet_nk.errors import EmptyClassError


class Mean:
    """Class means, c_k = (1 / n_k) * sum of the embeddings of class k."""

    def __init__(self, classes: int, dim: int) -> None:
        self.sums_KD = torch.zeros(classes, dim, dtype=torch.float64)
        self.counts_K = torch.zeros(classes, dtype=torch.int64)

    def add(self, embeddings_BD: Tensor, classes_B: Tensor) -> None:
        self.sums_KD.index_add_(0, classes_B, embeddings_BD.double())
        self.counts_K += torch.bincount(classes_B, minlength=len(self.counts_K))

    def merge(self, other: Self) -> None:
        self.sums_KD += other.sums_KD
        self.counts_K += other.counts_K

    def result(self) -> Tensor:
        """(K, D) float64. Raises EmptyClassError if a class got no embedding."""
        if empty := (self.counts_K == 0).nonzero().flatten().tolist():
            raise EmptyClassError(empty)
        return self.sums_KD / self.counts_K[:, None]


class Spread:
    """Within-class spread, s_k = sqrt((1 / n_k) * sum of |x - c_k|^2): the root mean square distance to the center.

    Kept as Chan, Golub and LeVeque's (1979) pair of mean and sum of squared deviations, which adds batches without the
    cancellation of sum(x^2) - n c^2.
    """

    def __init__(self, classes: int, dim: int) -> None:
        self.mean_KD = torch.zeros(classes, dim, dtype=torch.float64)
        self.squares_K = torch.zeros(classes, dtype=torch.float64)
        self.counts_K = torch.zeros(classes, dtype=torch.int64)

    def add(self, embeddings_BD: Tensor, classes_B: Tensor) -> None:
        present_P, inverse_B = classes_B.unique(return_inverse=True)
        batch = Mean(len(present_P), embeddings_BD.shape[1])
        batch.add(embeddings_BD, inverse_B)
        mean_PD = batch.result()
        deviations_B = (embeddings_BD.double() - mean_PD[inverse_B]).square().sum(1)
        squares_P = torch.zeros(len(present_P), dtype=torch.float64).index_add_(0, inverse_B, deviations_B)
        self._join(present_P, mean_PD, squares_P, batch.counts_K)

    def merge(self, other: Self) -> None:
        self._join(torch.arange(len(self.counts_K)), other.mean_KD, other.squares_K, other.counts_K)

    def result(self) -> Tensor:
        """(K,) float64, in the embedding's own unit; 0 for a class of one image."""
        if empty := (self.counts_K == 0).nonzero().flatten().tolist():
            raise EmptyClassError(empty)
        return (self.squares_K / self.counts_K).sqrt()

    def _join(self, classes_P: Tensor, mean_PD: Tensor, squares_P: Tensor, counts_P: Tensor) -> None:
        ours_P = self.counts_K[classes_P]
        total_P = (ours_P + counts_P).clamp(min=1)
        delta_PD = mean_PD - self.mean_KD[classes_P]
        self.squares_K[classes_P] += squares_P + delta_PD.square().sum(1) * ours_P * counts_P / total_P
        self.mean_KD[classes_P] += delta_PD * (counts_P / total_P)[:, None]
        self.counts_K[classes_P] += counts_P
