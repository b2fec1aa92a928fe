"""K-means within each class, for prototypes. Each class here is one step, in one pass over the embeddings.

Letters: B batch, K classes, P prototypes a class, D embedding size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor

Batches = Callable[[], Iterator[tuple[Tensor, Tensor]]]  # starts a pass: (B, D) embeddings and (B,) classes

MAX_ITER = 100
TOLERANCE = 1e-7  # iteration ends when no point moves by more than this fraction of its norm


class Step(Protocol):
    """One pass over all embeddings."""

    def add(self, embeddings_BD: Tensor, classes_B: Tensor) -> None: ...
    def result(self) -> Tensor: ...


class LloydStep:
    """One step of k-means within each class (Lloyd 1982). Of equally near prototypes, the first gets the image.

    A prototype without images keeps its place, with count 0.
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

    def result(self) -> Tensor:
        """(K, P, D) float64, the next prototypes."""
        means_KPD = self.sums_KPD / self.counts_KP.clamp(min=1)[:, :, None]
        return torch.where(self.counts_KP[:, :, None] > 0, means_KPD, self.prototypes_KPD)


class FarthestPoint:
    """The image of each class farthest from the points so far: a deterministic start of k-means (Gonzalez 1985).

    Of equally distant images, the one with the lexicographically smallest embedding, so that order does not matter.
    """

    def __init__(self, points_KCD: Tensor) -> None:
        self.points_KCD = points_KCD.double()
        self.distances_K = torch.full((len(points_KCD),), -1.0, dtype=torch.float64)
        self.farthest_KD = self.points_KCD[:, 0].clone()

    def add(self, embeddings_BD: Tensor, classes_B: Tensor) -> None:
        x_BD = embeddings_BD.double()
        distances_B = (x_BD[:, None] - self.points_KCD[classes_B]).square().sum(2).amin(1)
        for row in distances_B.argsort(descending=True, stable=True).tolist():
            self._update(int(classes_B[row]), float(distances_B[row]), x_BD[row])

    def result(self) -> Tensor:
        """(K, D) float64."""
        return self.farthest_KD

    def _update(self, k: int, distance: float, x_D: Tensor) -> None:
        wins_tie = distance == self.distances_K[k] and x_D.tolist() < self.farthest_KD[k].tolist()
        if distance > self.distances_K[k] or wins_tie:
            self.distances_K[k], self.farthest_KD[k] = distance, x_D


def run_epoch(step: Step, batches: Batches) -> Tensor:
    """The result of a step after one pass."""
    for embeddings_BD, classes_B in batches():
        step.add(embeddings_BD, classes_B)
    return step.result()


def prototypes(centers_KD: Tensor, count: int, batches: Batches) -> tuple[Tensor, Tensor]:
    """(K, P, D) float64 k-means centers of each class and the (K, P) number of images of each.

    A class with fewer different images than P has prototypes with count 0.
    """
    points_KCD = run_epoch(FarthestPoint(centers_KD[:, None]), batches)[:, None]
    while points_KCD.shape[1] < count:
        points_KCD = torch.cat([points_KCD, run_epoch(FarthestPoint(points_KCD), batches)[:, None]], dim=1)
    prototypes_KPD = _fixed_point(LloydStep, points_KCD, batches)
    last = LloydStep(prototypes_KPD)
    run_epoch(last, batches)
    return prototypes_KPD, last.counts_KP


def _fixed_point(step: Callable[[Tensor], Step], points: Tensor, batches: Batches) -> Tensor:
    for _ in range(MAX_ITER):
        previous, points = points, run_epoch(step(points), batches)
        if ((points - previous).norm(dim=-1) <= TOLERANCE * points.norm(dim=-1)).all():
            break
    return points
