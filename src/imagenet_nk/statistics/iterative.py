"""Statistics that read the embeddings several times: each class here is one step, itself streamed and mergeable.

Letters: B batch, K classes, P prototypes a class, D embedding size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, Self

import torch
from torch import Tensor

Batches = Callable[[], Iterator[tuple[Tensor, Tensor]]]  # a new reading: (B, D) embeddings and (B,) classes

STEPS = 100
TOLERANCE = 1e-7  # a step that moves no point by more than this share of its class's scale is the last


class Step(Protocol):
    """One reading of all embeddings."""

    def add(self, embeddings_BD: Tensor, classes_B: Tensor) -> None: ...
    def result(self) -> Tensor: ...


class WeiszfeldStep:
    """One step towards the geometric median, the m_k that makes the sum of |x - m_k| least (Weiszfeld 1937).

    Every x weighs 1 / |x - m|. Where m stands on an image, Vardi and Zhang's (2000) step is taken: the image pulls back
    with weight eta = 1, so m moves on only if the others pull harder.
    """

    def __init__(self, medians_KD: Tensor) -> None:
        self.medians_KD = medians_KD.double()
        self.pulls_KD = torch.zeros_like(self.medians_KD)  # sum of (x - m) / |x - m|
        self.weights_K = torch.zeros(len(medians_KD), dtype=torch.float64)
        self.here_K = torch.zeros(len(medians_KD), dtype=torch.float64)  # images that m stands on

    def add(self, embeddings_BD: Tensor, classes_B: Tensor) -> None:
        away_BD = embeddings_BD.double() - self.medians_KD[classes_B]
        distances_B = away_BD.norm(dim=1)
        apart_B = distances_B > 1e-12 * self.medians_KD[classes_B].norm(dim=1).clamp(min=1e-300)
        weights_B = torch.where(apart_B, 1 / distances_B.where(apart_B, torch.ones(())), torch.zeros(()))
        self.pulls_KD.index_add_(0, classes_B, away_BD * weights_B[:, None])
        self.weights_K.index_add_(0, classes_B, weights_B)
        self.here_K.index_add_(0, classes_B, (~apart_B).double())

    def merge(self, other: Self) -> None:
        self.pulls_KD += other.pulls_KD
        self.weights_K += other.weights_K
        self.here_K += other.here_K

    def result(self) -> Tensor:
        """(K, D) float64, the next medians."""
        pull_K = self.pulls_KD.norm(dim=1)
        share_K = (1 - self.here_K / pull_K.clamp(min=1e-300)).clamp(min=0)
        moved_KD: Tensor = self.medians_KD + self.pulls_KD * (share_K / self.weights_K.clamp(min=1e-300))[:, None]
        return moved_KD


class LloydStep:
    """One step of k-means within each class (Lloyd 1982): an image goes to the nearest prototype, of equals the first.

    A prototype that gets no image stays where it is, with count 0.
    """

    def __init__(self, prototypes_KPD: Tensor) -> None:
        self.prototypes_KPD = prototypes_KPD.double()
        self.sums_KPD = torch.zeros_like(self.prototypes_KPD)
        self.counts_KP = torch.zeros(prototypes_KPD.shape[:2], dtype=torch.int64)

    def add(self, embeddings_BD: Tensor, classes_B: Tensor) -> None:
        x_BD = embeddings_BD.double()
        nearest_B = (x_BD[:, None] - self.prototypes_KPD[classes_B]).square().sum(2).argmin(1)
        self.sums_KPD.index_put_((classes_B, nearest_B), x_BD, accumulate=True)
        self.counts_KP.index_put_((classes_B, nearest_B), torch.ones_like(classes_B), accumulate=True)

    def merge(self, other: Self) -> None:
        self.sums_KPD += other.sums_KPD
        self.counts_KP += other.counts_KP

    def result(self) -> Tensor:
        """(K, P, D) float64, the next prototypes."""
        means_KPD = self.sums_KPD / self.counts_KP.clamp(min=1)[:, :, None]
        return torch.where(self.counts_KP[:, :, None] > 0, means_KPD, self.prototypes_KPD)


class FarthestPoint:
    """The image of each class farthest from the points chosen so far (Gonzalez 1985): k-means starts without chance."""

    def __init__(self, chosen_KCD: Tensor) -> None:
        self.chosen_KCD = chosen_KCD.double()
        self.distances_K = torch.full((len(chosen_KCD),), -1.0, dtype=torch.float64)
        self.points_KD = self.chosen_KCD[:, 0].clone()

    def add(self, embeddings_BD: Tensor, classes_B: Tensor) -> None:
        x_BD = embeddings_BD.double()
        distances_B = (x_BD[:, None] - self.chosen_KCD[classes_B]).square().sum(2).amin(1)
        for row in distances_B.argsort(
            descending=True, stable=True
        ).tolist():  # the first seen of a class is its farthest
            k = int(classes_B[row])
            self._take(k, float(distances_B[row]), x_BD[row])

    def merge(self, other: Self) -> None:
        for k, distance in enumerate(other.distances_K.tolist()):
            self._take(k, distance, other.points_KD[k])

    def result(self) -> Tensor:
        """(K, D) float64."""
        return self.points_KD

    def _take(self, k: int, distance: float, point_D: Tensor) -> None:
        tied = distance == self.distances_K[k] and point_D.tolist() < self.points_KD[k].tolist()  # whatever the order
        if distance > self.distances_K[k] or tied:
            self.distances_K[k], self.points_KD[k] = distance, point_D


def read_once(step: Step, batches: Batches) -> Tensor:
    """The step's result after one reading."""
    for embeddings_BD, classes_B in batches():
        step.add(embeddings_BD, classes_B)
    return step.result()


def geometric_median(centers_KD: Tensor, batches: Batches) -> Tensor:
    """(K, D) float64, from the centers on until no median moves."""
    return _settled(WeiszfeldStep, centers_KD.double(), batches)


def prototypes(centers_KD: Tensor, count: int, batches: Batches) -> tuple[Tensor, Tensor]:
    """(K, P, D) float64 k-means centers of each class and (K, P) images behind each.

    Starts at the image farthest from the center, then the farthest from those chosen. A class with fewer different
    images than P has prototypes with count 0.
    """
    chosen_KCD = read_once(FarthestPoint(centers_KD[:, None]), batches)[:, None]
    while chosen_KCD.shape[1] < count:
        chosen_KCD = torch.cat([chosen_KCD, read_once(FarthestPoint(chosen_KCD), batches)[:, None]], dim=1)
    settled_KPD = _settled(LloydStep, chosen_KCD, batches)
    last = LloydStep(settled_KPD)
    read_once(last, batches)
    return settled_KPD, last.counts_KP


def _settled(step: Callable[[Tensor], Step], points: Tensor, batches: Batches) -> Tensor:
    for _ in range(STEPS):
        moved = read_once(step(points), batches)
        still = (moved - points).norm(dim=-1) <= TOLERANCE * moved.norm(dim=-1)
        points = moved
        if still.all():
            break
    return points
