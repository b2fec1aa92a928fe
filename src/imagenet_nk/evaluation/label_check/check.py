"""The label check: which order of the labels and of the head's outputs fits what the head predicts.

The head's accuracy among the outputs of the labels at hand says how well a pair of orders fits. Letters: B batch,
K labels at hand, C outputs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imagenet_nk.classes.orders import LabelOrder
from imagenet_nk.evaluation.label_check.orders import GIVEN, OrderPair, order_pairs, output_orders

ALPHA = 0.01  # of the permutation test and the sign test; divided by the number of pairs tried
REFERENCE_ALPHA = 0.05  # of the orders that accuse nobody
PERMUTATIONS = 9_999  # random ones, where not all can be tried
MAX_EXACT_CLASSES = 7  # 7! = 5,040 permutations
MIN_HEAD_ACCURACY = 0.6  # among the classes that are not swapped: below it, a head does not accuse single classes
MIN_SHARE = 0.6  # of a class's images, for the class to be named as likely mislabelled
SHOWN = 3  # swaps named in the message


@dataclass
class Fit:
    """How well one pair fits: predictions among the outputs of the labels at hand."""

    pair: OrderPair
    confusion: Tensor = field(init=False)  # (K, K): images of each label, by the label whose output was the largest

    def __post_init__(self) -> None:
        classes = len(self.pair.columns)
        self.confusion = torch.zeros(classes, classes, dtype=torch.int32)

    def add(self, logits_BC: Tensor, rows_B: Tensor) -> None:
        """Count a batch: the head's outputs, and the row of each image's label."""
        present = (self.pair.columns >= 0).nonzero().flatten()
        predicted_B = present[logits_BC[:, self.pair.columns[present]].argmax(1)]
        self.confusion.index_put_((rows_B, predicted_B), torch.ones(len(rows_B), dtype=torch.int32), accumulate=True)

    @property
    def hits(self) -> int:
        """Images whose own label's output was the largest."""
        return int(self.confusion.diagonal().sum())

    @property
    def accuracy(self) -> float:
        return self.hits / max(int(self.confusion.sum()), 1)

    def p_value(self) -> float:
        """The chance of as many hits if labels and outputs had nothing to do with each other.

        A permutation test over classes (Good 2005, sec. 3.2): images of one class are not independent, for a head that
        is not trained gives them all the same answer; so whole classes are assigned to outputs at random.
        """
        confusion_KK = self.confusion.numpy()
        classes = len(confusion_KK)
        rows = np.arange(classes)
        if classes <= MAX_EXACT_CLASSES:
            hits = [confusion_KK[rows, list(order)].sum() for order in permutations(range(classes))]
            return float(np.mean(np.array(hits) >= self.hits))
        rng = np.random.default_rng(0)
        extreme = sum(int(confusion_KK[rows, rng.permutation(classes)].sum() >= self.hits) for _ in range(PERMUTATIONS))
        return (extreme + 1) / (PERMUTATIONS + 1)


class LabelCheck:
    """Collects the head's outputs for a list of labelled images, and judges the order of labels and outputs."""

    def __init__(
        self, labels: Sequence[int], given: LabelOrder, outputs: int, *, is_published_head: bool = False
    ) -> None:
        """labels: those at hand, (K,); given: what `labels=` says; outputs: C of the head.

        is_published_head: timm's own weights, whose outputs are in timm's order.
        """
        self.labels, self.given = list(labels), given
        self.orders = orders = output_orders(outputs, given)
        self.default_outputs = next(iter(orders), "")
        if is_published_head:
            orders = {name: order for name, order in orders.items() if name == self.default_outputs}
        self.fits = [Fit(pair) for pair in order_pairs(self.labels, given, orders)]

    @property
    def is_possible(self) -> bool:
        """Whether the outputs of such a head can be the classes of these labels."""
        return bool(self.fits)

    def add(self, logits_BC: Tensor, rows_B: Tensor) -> None:
        """Count a batch: the head's outputs, and the row of each image's label among `labels`."""
        for fit in self.fits:
            fit.add(logits_BC, rows_B)

    def result(self) -> LabelVerdict:
        """The pair of orders that fits, if one does."""
        reference = self.fits[0]
        best = max(self.fits, key=lambda fit: fit.hits)  # of equally good ones, the one that accuses least
        threshold = ALPHA / len(self.fits)
        if best is not reference and _fits_better(best, reference) and (p_value := best.p_value()) <= threshold:
            return LabelVerdict(self, best, p_value)
        p_value = reference.p_value()
        return LabelVerdict(self, reference if p_value <= REFERENCE_ALPHA else None, p_value)


@dataclass(frozen=True)
class LabelVerdict:
    """What the label check found. `fit` is None where no known pair of orders fits."""

    check: LabelCheck
    fit: Fit | None
    p_value: float

    @property
    def are_labels_wrong(self) -> bool:
        """Whether the list is numbered in another known order than `labels=` says."""
        return self.fit is not None and self.fit.pair.labels != GIVEN

    def outputs(self) -> dict[str, int] | None:
        """The output of each WNID; None where the order of the outputs is unknown."""
        if self.fit is None:
            return None
        return {wnid: index for index, wnid in enumerate(self.check.orders[self.fit.pair.outputs])}

    def head_fit(self) -> Fit | None:
        """The predictions with labels as labels= says; None where the outputs' order is unknown."""
        if self.fit is None:
            return None
        fits = (fit for fit in self.check.fits if fit.pair.labels == GIVEN)
        return next((fit for fit in fits if fit.pair.outputs == self.fit.pair.outputs), None)

    def majority_votes(self) -> dict[int, tuple[str, float]]:
        """By label: the WNID that the head predicts for most of its images among these classes, and their share."""
        fit = self.head_fit()
        if fit is None:
            return {}
        confusion_KK = fit.confusion.numpy()
        images_K = np.maximum(confusion_KK.sum(1), 1)
        return {
            label: (self.check.given[self.check.labels[int(row)]], float(confusion_KK[k, row] / images_K[k]))
            for k, (label, row) in enumerate(zip(self.check.labels, confusion_KK.argmax(1), strict=True))
        }

    def swapped_classes(self) -> list[list[str]]:
        """Cycles of WNIDs: the head takes most images of each for the next one, and of the last for the first.

        A head that confuses classes takes one for another, but hardly ever each for the other and neither for itself.
        """
        if self.fit is None or self.are_labels_wrong:
            return []
        confusion_KK = self.fit.confusion.numpy()
        cycles = [cycle for cycle in _cycles(confusion_KK.argmax(1)) if _sign_test_p(cycle, confusion_KK) <= ALPHA]
        others = np.setdiff1d(np.arange(len(confusion_KK)), [row for cycle in cycles for row in cycle])
        images = confusion_KK[others].sum()
        if not images or confusion_KK[others, others].sum() / images < MIN_HEAD_ACCURACY:
            return []
        wnids = [self.check.given[label] for label in self.check.labels]
        return [_from_smallest([wnids[row] for row in cycle]) for cycle in cycles]

    def likely_mislabelled(self, swapped: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
        """Classes whose images the head takes for one other class, more of them than its errors elsewhere explain.

        A binomial test against the error rate on the other classes, at ALPHA / K; swapped classes are left out.
        """
        if self.fit is None or self.are_labels_wrong or self.p_value > ALPHA / len(self.check.fits):
            return []
        confusion_KK, wnids = self.fit.confusion.numpy(), [self.check.given[label] for label in self.check.labels]
        swapped_wnids = {wnid for cycle in swapped for wnid in cycle}
        plain = np.array([wnid not in swapped_wnids for wnid in wnids])
        images, hits = int(confusion_KK[plain].sum()), int(confusion_KK.diagonal()[plain].sum())
        result = []
        for row in np.flatnonzero(plain & (confusion_KK.argmax(1) != np.arange(len(wnids)))):
            own, others = confusion_KK[row], images - int(confusion_KK[row].sum())
            errors = others - (hits - int(own[row]))
            share, error_rate = own.max() / own.sum(), (errors + 1) / (others + 2)  # Laplace's rule: never 0
            p_value = _binomial_tail(int(own.max()), int(own.sum()), error_rate)
            if others and error_rate <= 1 - MIN_HEAD_ACCURACY and share >= MIN_SHARE and p_value <= ALPHA / len(wnids):
                result.append({"wnid": wnids[row], "predicted": wnids[own.argmax()], "share": float(share)})
        return result

    def as_metrics(self) -> dict[str, Any]:
        """The entry `label_check` of metrics.json."""
        swapped = self.swapped_classes()
        fit = self.fit
        ranked = sorted(self.check.fits, key=lambda each: -each.hits)[:5]
        return {
            "agreement": [
                {"labels": each.pair.labels, "outputs": each.pair.outputs, "top1": each.accuracy} for each in ranked
            ],
            "labels_wrong": self.are_labels_wrong,
            "matching_label_order": fit.pair.labels if fit is not None and self.are_labels_wrong else None,
            "matching_head_order": fit.pair.outputs if fit is not None else None,
            "is_default_head_order": fit is None or fit.pair.outputs == self.check.default_outputs,
            "swapped_classes": swapped,
            "likely_mislabelled": self.likely_mislabelled(swapped),
            "message": _swap_message(swapped) if swapped else self._message(),
        }

    def _message(self) -> str:
        if self.fit is None:
            return "the head's outputs are in an unknown order, or it does not know these classes: labels not checked"
        if self.are_labels_wrong:
            return (
                f"the labels are in another order than labels= says: they are numbered as {self.fit.pair.labels} "
                f"(the head is right on {self.fit.accuracy:.0%} of the images then, "
                f"on {self.check.fits[0].accuracy:.0%} as given)"
            )
        if self.fit.pair.outputs != self.check.default_outputs:
            return (
                "labels are consistent with the classifier head if its outputs are in the order of "
                f"{self.fit.pair.outputs}, not {self.check.default_outputs} as timm's are; "
                "if they are in timm's order, the labels are wrong"
            )
        return f"labels are consistent with the classifier head (top-1 among these classes {self.fit.accuracy:.0%})"


def _fits_better(fit: Fit, reference: Fit) -> bool:
    """Whether more classes have more hits under one pair than under the other: sign test (Dixon and Mood 1946)."""
    difference_K = fit.confusion.diagonal() - reference.confusion.diagonal()
    better, worse = int((difference_K > 0).sum()), int((difference_K < 0).sum())
    return _binomial_tail(better, better + worse) <= ALPHA


def _binomial_tail(hits: int, trials: int, chance: float = 0.5) -> float:
    """The chance of at least so many hits in so many independent trials."""
    if not 0 < chance < 1:
        return float(chance > 0 or hits <= 0)
    logs = [
        math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        + k * math.log(chance) + (trials - k) * math.log(1 - chance)
        for k in range(hits, trials + 1)
    ]  # fmt: skip
    return min(math.fsum(map(math.exp, logs)), 1.0)


def _cycles(following: NDArray[np.int64]) -> list[list[int]]:
    """Cycles of two or more rows that follow one another."""
    cycles = []
    for first in range(len(following)):
        cycle = [first]
        while (row := int(following[cycle[-1]])) not in cycle:
            cycle.append(row)
        if row == first == min(cycle) and len(cycle) > 1:
            cycles.append(cycle)
    return cycles


def _sign_test_p(cycle: Sequence[int], confusion_KK: NDArray[np.int32]) -> float:
    """The chance that a head which takes each class for the next as often as for itself does so for so many images."""
    otherwise = sum(int(confusion_KK[row, after]) for row, after in zip(cycle, [*cycle[1:], cycle[0]], strict=True))
    return _binomial_tail(otherwise, otherwise + int(confusion_KK[cycle, cycle].sum()))


def _from_smallest(wnids: Sequence[str]) -> list[str]:
    start = wnids.index(min(wnids))
    return [*wnids[start:], *wnids[:start]]


def _swap_message(cycles: Sequence[Sequence[str]]) -> str:
    shown = ", ".join(" -> ".join([*cycle, cycle[0]]) for cycle in cycles[:SHOWN])
    rest = f" and {len(cycles) - SHOWN} more" if len(cycles) > SHOWN else ""
    return (
        f"the labels of {sum(map(len, cycles))} classes look swapped (label -> prediction of the head): "
        f"{shown}{rest}; check them in the list against its source"
    )
