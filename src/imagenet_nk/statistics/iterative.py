"""Statistics that read the embeddings several times: each class here is one step, over one pass.

Letters: B batch, K classes, P prototypes a class, D embedding size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor

Batches = Callable[[], Iterator[tuple[Tensor, Tensor]]]  # a new reading: (B, D) embeddings and (B,) classes

MAX_ITER = 100
TOLERANCE = 1e-7  # a step that moves no point by more than this share of its class's scale is the last


class Step(Protocol):
    """One reading of all embeddings."""

    def add(self, embeddings_BD: Tensor, classes_B: Tensor) -> None: ...
    def result(self) -> Tensor: ...


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

    def result(self) -> Tensor:
        """(K, D) float64."""
        return self.points_KD

    def _take(self, k: int, distance: float, point_D: Tensor) -> None:
        tied = distance == self.distances_K[k] and point_D.tolist() < self.points_KD[k].tolist()  # whatever the order
        if distance > self.distances_K[k] or tied:
            self.distances_K[k], self.points_KD[k] = distance, point_D


def run_epoch(step: Step, batches: Batches) -> Tensor:
    """The step's result after one reading."""
    for embeddings_BD, classes_B in batches():
        step.add(embeddings_BD, classes_B)
    return step.result()


def prototypes(centers_KD: Tensor, count: int, batches: Batches) -> tuple[Tensor, Tensor]:
    """(K, P, D) float64 k-means centers of each class and (K, P) images behind each.

    Starts at the image farthest from the center, then the farthest from those chosen. A class with fewer different
    images than P has prototypes with count 0.
    """
    chosen_KCD = run_epoch(FarthestPoint(centers_KD[:, None]), batches)[:, None]
    while chosen_KCD.shape[1] < count:
        chosen_KCD = torch.cat([chosen_KCD, run_epoch(FarthestPoint(chosen_KCD), batches)[:, None]], dim=1)
    settled_KPD = _fixed_point(LloydStep, chosen_KCD, batches)
    last = LloydStep(settled_KPD)
    run_epoch(last, batches)
    return settled_KPD, last.counts_KP


def _fixed_point(step: Callable[[Tensor], Step], points: Tensor, batches: Batches) -> Tensor:
    for _ in range(MAX_ITER):
        moved = run_epoch(step(points), batches)
        still = (moved - points).norm(dim=-1) <= TOLERANCE * moved.norm(dim=-1)
        points = moved
        if still.all():
            break
    return points
