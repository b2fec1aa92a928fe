"""Statistics of the embeddings of each class, in one pass and O(classes x dim) memory.

Each has `add` (a batch) and `result`. Letters: B batch, K classes, D embedding size. Sums are float64, so batch size
and order change a result by float64 rounding only.
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
        """(D,) float64, the mean over all embeddings, of whatever class."""
        return self.sums_KD.sum(0) / self.counts_K.sum()


class NormalizedMean(Mean):
    """Means of L2-normalised embeddings, (1 / n_k) * sum of x / |x|; not normalised again (Wang et al. 2019).

    With `origin` (D,), embeddings are centred by it first: x becomes (x - origin) / |x - origin|, SimpleShot's CL2N.
    """

    def __init__(self, classes: int, dim: int, origin: Tensor | None = None) -> None:
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


class Medoid:
    """Medoid of each class: the row of the list whose embedding is nearest to a given point, as its center.

    Needs the points first, so it is a second reading of the embeddings. Of equally near rows, the lowest.
    """

    def __init__(self, points_KD: Tensor) -> None:
        self.points_KD = points_KD.double()
        self.distances_K = torch.full((len(points_KD),), torch.inf, dtype=torch.float64)
        self.rows_K = torch.full((len(points_KD),), torch.iinfo(torch.int64).max)

    def add(self, embeddings_BD: Tensor, classes_B: Tensor, rows_B: Tensor) -> None:
        distances_B = (embeddings_BD.double() - self.points_KD[classes_B]).square().sum(1)
        best = torch.full_like(self.distances_K, torch.inf).scatter_reduce(0, classes_B, distances_B, "amin")
        tied = distances_B == best[classes_B]
        lowest = torch.full_like(self.rows_K, torch.iinfo(torch.int64).max)
        self._join(best, lowest.scatter_reduce(0, classes_B[tied], rows_B[tied], "amin"))

    def result(self) -> Tensor:
        """(K,) int64 rows. Raises EmptyClassError if a class got no embedding."""
        if empty := self.distances_K.isinf().nonzero().flatten().tolist():
            raise EmptyClassError(empty)
        return self.rows_K

    def _join(self, distances_K: Tensor, rows_K: Tensor) -> None:
        better = (distances_K < self.distances_K) | ((distances_K == self.distances_K) & (rows_K < self.rows_K))
        self.distances_K = torch.where(better, distances_K, self.distances_K)
        self.rows_K = torch.where(better, rows_K, self.rows_K)


class SharedCovariance:
    """The covariance that all classes share, S = 1 / (N - K) * sum of (x - c_k)(x - c_k)^T, for LDA and Mahalanobis.

    The pooled estimate of Fisher's discriminant (Hastie, Tibshirani and Friedman 2009, eq. 4.10); Lee et al. (2018)
    judge outliers with it. Needs the centers first.
    """

    def __init__(self, centers_KD: Tensor) -> None:
        self.centers_KD = centers_KD.double()
        dim = centers_KD.shape[1]
        self.products_DD = torch.zeros(dim, dim, dtype=torch.float64)
        self.count = 0

    def add(self, embeddings_BD: Tensor, classes_B: Tensor) -> None:
        deviations_BD = embeddings_BD.double() - self.centers_KD[classes_B]
        self.products_DD += deviations_BD.T @ deviations_BD
        self.count += len(embeddings_BD)

    def result(self) -> Tensor:
        """(D, D) float64; zeros where no class has two images."""
        return self.products_DD / max(self.count - len(self.centers_KD), 1)
