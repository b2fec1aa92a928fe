"""Statistics of the embeddings of each class, in one pass and O(classes x dim) memory.

Each class has `add` (a batch) and `result`. Letters: B batch, K classes, P classes in the batch, D embedding size.
Sums are float64: batch size and order change a result by float64 rounding only.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from imagenet_nk.errors import EmptyClassError


class Mean:
    """Class means, c_k = (1 / n_k) * sum of the embeddings of class k."""

    def __init__(self, classes: int, dim: int) -> None:
        self.sums_KD = torch.zeros(classes, dim, dtype=torch.float64)
        self.counts_K = torch.zeros(classes, dtype=torch.int64)

    def add(self, embeddings_BD: Tensor, classes_B: Tensor) -> None:
        self.sums_KD.index_add_(0, classes_B, embeddings_BD.double())
        self.counts_K += torch.bincount(classes_B, minlength=len(self.counts_K))

    def result(self) -> Tensor:
        """(K, D) float64. Raises EmptyClassError if a class got no embedding."""
        if empty := (self.counts_K == 0).nonzero().flatten().tolist():
            raise EmptyClassError(empty)
        return self.sums_KD / self.counts_K[:, None]

    def grand_mean(self) -> Tensor:
        """(D,) float64, the mean over the embeddings of all classes."""
        return self.sums_KD.sum(0) / self.counts_K.sum()


class NormalizedMean(Mean):
    """Means of centred, L2-normalised embeddings, (1 / n_k) * sum of (x - o) / |x - o|: CL2N of SimpleShot (Wang et al.
    2019) for the origin o, (D,). The means are not normalised.
    """

    def __init__(self, classes: int, dim: int, origin: Tensor) -> None:
        super().__init__(classes, dim)
        self.origin = origin

    def add(self, embeddings_BD: Tensor, classes_B: Tensor) -> None:
        super().add(l2_normalize(embeddings_BD, self.origin), classes_B)


def l2_normalize(embeddings_BD: Tensor, origin_D: Tensor | None = None) -> Tensor:
    """(B, D) float64 of length 1, after subtracting the origin."""
    x_BD = embeddings_BD.double()
    return normalize(x_BD if origin_D is None else x_BD - origin_D, dim=1)


class Spread:
    """Within-class spread, s_k = sqrt((1 / n_k) * sum of |x - c_k|^2): the root mean square distance to the center.

    Batches are merged by mean and sum of squared deviations (Chan, Golub and LeVeque 1979), which avoids the
    cancellation in sum(x^2) - n c^2.
    """

    def __init__(self, classes: int, dim: int) -> None:
        self.mean_KD = torch.zeros(classes, dim, dtype=torch.float64)
        self.squares_K = torch.zeros(classes, dtype=torch.float64)
        self.counts_K = torch.zeros(classes, dtype=torch.int64)

    def add(self, embeddings_BD: Tensor, classes_B: Tensor) -> None:
        classes_P, inverse_B = classes_B.unique(return_inverse=True)
        batch = Mean(len(classes_P), embeddings_BD.shape[1])
        batch.add(embeddings_BD, inverse_B)
        mean_PD, counts_P, before_P = batch.result(), batch.counts_K, self.counts_K[classes_P]
        deviations_B = (embeddings_BD.double() - mean_PD[inverse_B]).square().sum(1)
        shift_PD = mean_PD - self.mean_KD[classes_P]
        weight_P = counts_P / (before_P + counts_P)
        self.squares_K.index_add_(0, classes_B, deviations_B)
        self.squares_K[classes_P] += shift_PD.square().sum(1) * before_P * weight_P
        self.mean_KD[classes_P] += shift_PD * weight_P[:, None]
        self.counts_K[classes_P] += counts_P

    def result(self) -> Tensor:
        """(K,) float64, in the unit of the embeddings; 0 for a class of one image.

        Raises EmptyClassError if a class got no embedding.
        """
        if empty := (self.counts_K == 0).nonzero().flatten().tolist():
            raise EmptyClassError(empty)
        return (self.squares_K / self.counts_K).sqrt()


class Medoid:
    """The row of each class whose embedding is nearest to a given point, such as the center; of equals, the lowest row.

    The points must be known, so this is a second pass over the embeddings.
    """

    def __init__(self, points_KD: Tensor) -> None:
        self.points_KD = points_KD.double()
        self.distances_K = torch.full((len(points_KD),), torch.inf, dtype=torch.float64)
        self.rows_K = torch.full((len(points_KD),), torch.iinfo(torch.int64).max)

    def add(self, embeddings_BD: Tensor, classes_B: Tensor, rows_B: Tensor) -> None:
        distances_B = (embeddings_BD.double() - self.points_KD[classes_B]).square().sum(1)
        before_K = self.distances_K
        self.distances_K = before_K.scatter_reduce(0, classes_B, distances_B, "amin")
        self.rows_K[self.distances_K < before_K] = torch.iinfo(torch.int64).max
        nearest_B = distances_B == self.distances_K[classes_B]
        self.rows_K = self.rows_K.scatter_reduce(0, classes_B[nearest_B], rows_B[nearest_B], "amin")

    def result(self) -> Tensor:
        """(K,) int64 rows. Raises EmptyClassError if a class got no embedding."""
        if empty := self.distances_K.isinf().nonzero().flatten().tolist():
            raise EmptyClassError(empty)
        return self.rows_K
