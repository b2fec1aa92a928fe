"""Out-of-distribution scores: how little an embedding looks like one of the classes.

Each score is fitted on embeddings of known classes and is larger for images of no class. Letters: N training images,
M other images, K classes, D embedding size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from imagenet_nk.statistics.streaming import Mean

KNN_NEIGHBORS = 10  # Sun et al. (2022), sec. 4.2, with 1 % of ImageNet; more than a class usually has is no use
RIDGE = 1e-6  # added to the diagonal of a scatter matrix, which is singular with fewer images than features
_ROWS = 1024  # images whose distances to all training images are in memory at a time


@dataclass(frozen=True)
class Gaussian:
    """Points with a precision matrix: squared Mahalanobis distances to the nearest point."""

    means: Tensor  # (K, D)
    precision: Tensor  # (D, D)

    def squared_distances(self, x_MD: Tensor) -> Tensor:
        """(M,) float64: the smallest over the means of (x - m)^T P (x - m), without an (M, K, D) array."""
        x_MD = x_MD.double()
        projected_MD, means_KD = x_MD @ self.precision, self.means
        own_M1 = (projected_MD * x_MD).sum(1, keepdim=True)
        offset_K = ((means_KD @ self.precision) * means_KD).sum(1)
        return (own_M1 - 2 * projected_MD @ means_KD.T + offset_K).amin(1)


def class_gaussian(train_ND: Tensor, classes_N: Tensor, classes: int) -> Gaussian:
    """Class means and the inverse of the covariance that the classes share, 1 / N (Lee et al. 2018, eq. 1)."""
    mean = Mean(classes, train_ND.shape[1])
    mean.add(train_ND, classes_N)
    means_KD = mean.result()
    return Gaussian(means_KD, _precision(train_ND.double() - means_KD[classes_N]))


def background_gaussian(train_ND: Tensor) -> Gaussian:
    """Mean and inverse covariance of all training images, whatever their class (Ren et al. 2021, eq. 3)."""
    mean_1D = train_ND.double().mean(0, keepdim=True)
    return Gaussian(mean_1D, _precision(train_ND.double() - mean_1D))


def _precision(deviations_ND: Tensor) -> Tensor:
    scatter_DD = deviations_ND.T @ deviations_ND
    scatter_DD.diagonal().add_(RIDGE)
    precision_DD: Tensor = torch.linalg.inv(scatter_DD) * len(deviations_ND)
    return precision_DD


def nearest_center(train_ND: Tensor, classes_N: Tensor, classes: int, x_MD: Tensor) -> Tensor:
    """(M,) Euclidean distance to the nearest class mean."""
    mean = Mean(classes, train_ND.shape[1])
    mean.add(train_ND, classes_N)
    return torch.cdist(x_MD.double(), mean.result()).amin(1)


def mahalanobis(train_ND: Tensor, classes_N: Tensor, classes: int, x_MD: Tensor) -> Tensor:
    """(M,) squared Mahalanobis distance to the nearest class mean under the shared covariance (Lee et al. 2018)."""
    return class_gaussian(train_ND, classes_N, classes).squared_distances(x_MD)


def relative_mahalanobis(train_ND: Tensor, classes_N: Tensor, classes: int, x_MD: Tensor) -> Tensor:
    """(M,) the same less the squared distance to the mean of all images under their covariance (Ren et al. 2021)."""
    near_M = class_gaussian(train_ND, classes_N, classes).squared_distances(x_MD)
    return near_M - background_gaussian(train_ND).squared_distances(x_MD)


def knn(train_ND: Tensor, classes_N: Tensor, classes: int, x_MD: Tensor) -> Tensor:  # noqa: ARG001 - as the others
    """(M,) Euclidean distance to the k-th nearest training image, k = 10 or all there are (Sun et al. 2022)."""
    count = min(KNN_NEIGHBORS, len(train_ND))
    parts = [torch.cdist(part.double(), train_ND.double()) for part in x_MD.split(_ROWS)]
    return torch.cat([distances_BN.kthvalue(count, dim=1).values for distances_BN in parts])


Score = Callable[[Tensor, Tensor, int, Tensor], Tensor]
SCORES: dict[str, Score] = {
    "nearest_center": nearest_center,
    "mahalanobis": mahalanobis,
    "relative_mahalanobis": relative_mahalanobis,
    "knn": knn,
}
SPACES: dict[str, Callable[[Tensor], Tensor]] = {
    "raw": lambda x_ND: x_ND.double(),
    "unit": lambda x_ND: normalize(x_ND.double(), dim=1),
}


def auroc(inside_M: Tensor, outside_M: Tensor) -> float:
    """The chance that an outside image scores higher than an inside one, ties counting half (Mann-Whitney U)."""
    ordered_M = inside_M.double().sort().values
    outside_M = outside_M.double()
    below = torch.searchsorted(ordered_M, outside_M, right=False)
    not_above = torch.searchsorted(ordered_M, outside_M, right=True)
    return float((below + not_above).double().mean() / 2 / len(ordered_M))


def fpr_at_95_tpr(inside_M: Tensor, outside_M: Tensor) -> float:
    """The share of inside images flagged at the highest threshold that flags 95 % of the outside ones (OpenOOD)."""
    ordered_M = outside_M.double().sort(descending=True).values
    threshold = ordered_M[-(-95 * len(ordered_M) // 100) - 1]
    return float((inside_M.double() >= threshold).double().mean())


def evaluate_ood(
    train_ND: Tensor, classes_N: Tensor, classes: int, inside_MD: Tensor, outside_MD: Tensor
) -> dict[str, dict[str, dict[str, float]]]:
    """AUROC and FPR at 95 % TPR of every score, on embeddings as they are and at unit length.

    train: images of the classes; inside: other images of the classes; outside: images of no class.
    """
    result: dict[str, dict[str, dict[str, float]]] = {}
    for name, score in SCORES.items():
        result[name] = {}
        for space, to_space in SPACES.items():
            x_ND = to_space(train_ND)
            inside_M = score(x_ND, classes_N, classes, to_space(inside_MD))
            outside_M = score(x_ND, classes_N, classes, to_space(outside_MD))
            result[name][space] = {
                "auroc": auroc(inside_M, outside_M),
                "fpr_at_95_tpr": fpr_at_95_tpr(inside_M, outside_M),
            }
    return result
