"""The label check: compares the labels of a list with what the classifier head predicts for its images."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from math import comb
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from imagenet_nk.classes.label_map import LabelMap
from imagenet_nk.classes.loading import load
from imagenet_nk.config.choices import ClassesConfig, LabelsConfig

LabelOrder = Mapping[int, str]  # label to WNID
MajorityVotes = Mapping[int, tuple[str, float]]  # label to the most frequent prediction for its images, and its share
GIVEN = "as given"
MIN_HEAD_ACCURACY = 0.6  # on all other classes: below it, the head is no evidence that classes are swapped
ALPHA = 0.01  # significance level of a swap, see _sign_test_p: seven images that agree are below it
MAX_SHOWN = 3  # swaps that the message names
K = TypeVar("K", int, str)
V = TypeVar("V", int, str)


def imagenet_label_orders() -> dict[str, LabelOrder]:
    """The common numberings of the 1000 classes: by sorted WNID and as in the devkit, from 0 and from 1."""
    return {
        f"{name} from {first}": dict(enumerate(_imagenet(name).wnids, start=first))
        for name in ("sorted", "clsloc")
        for first in (0, 1)
    }


def head_order(outputs: int, wnids: Sequence[str]) -> tuple[str, ...] | None:
    """The WNID of each output of a head, in timm's order; None for a head over other classes."""
    if outputs == 1000:
        order = tuple(_imagenet("sorted").wnids)
        return order if set(wnids) <= set(order) else None
    return tuple(sorted(wnids)) if outputs == len(wnids) else None


def other_head_orders(outputs: int) -> dict[str, Mapping[str, str]]:
    """Other orders of a head's outputs: what a prediction in timm's order then means, by the name of the order."""
    if outputs != 1000:
        return {}
    return {"clsloc": dict(zip(_imagenet("sorted").wnids, _imagenet("clsloc").wnids, strict=True))}


def check(
    labels_N: NDArray[np.int64],
    predicted_N: Sequence[str],
    given: LabelOrder,
    orders: Mapping[str, LabelOrder],
    ncm: float,
    head_orders: Mapping[str, Mapping[str, str]] | None = None,
) -> dict[str, Any]:
    """Whether labels and head agree; if not, which known order of the labels or of the head's outputs explains it.

    labels_N: the numbers in the list; predicted_N: the head's WNID for each image; ncm: top-1 of the centers, or the
    fraction of images on which they agree with the head if that is larger; head_orders: see other_head_orders().

    Labels are wrong if the centers separate the classes, the head is right on fewer than half as many images as they
    are, and another order at least doubles that. It may be an unknown one: then the best matching of labels and
    predictions must double it, which fails for an untrained head. If the order is right, `swapped_classes` names cycles
    of classes: for the images of each, the head predicts the next one.
    """
    labels = labels_N.tolist()
    accuracy = {name: _accuracy(labels, predicted_N, order) for name, order in {GIVEN: given, **orders}.items()}
    threshold = max(2 * accuracy[GIVEN], ncm / 2)
    is_separated = ncm >= min(0.5, 5 / len(set(labels)))
    disagrees = is_separated and accuracy[GIVEN] < ncm / 2
    best = max(accuracy, key=lambda name: (accuracy[name], name == GIVEN))
    label_order = best if disagrees and accuracy[best] > threshold else None
    head = _matching_head_order(labels, predicted_N, given, head_orders or {}, threshold) if disagrees else None
    head = head if label_order is None else None
    is_wrong = (
        disagrees and head is None and (label_order is not None or _matched_accuracy(labels, predicted_N) > threshold)
    )
    cycles = [] if is_wrong or head or not is_separated else _find_swapped_classes(labels, predicted_N, given)
    message = _message(is_separated, disagrees, is_wrong, label_order, head, accuracy[GIVEN])
    return {
        "agreement": accuracy,
        "labels_wrong": is_wrong,
        "matching_label_order": label_order,
        "matching_head_order": head,
        "swapped_classes": cycles,
        "message": _describe_cycles(cycles) if cycles else message,
    }


def _accuracy(labels: Sequence[int], predicted: Sequence[str], order: LabelOrder) -> float:
    return float(np.mean([order.get(label) == wnid for label, wnid in zip(labels, predicted, strict=True)]))


def _matching_head_order(
    labels: Sequence[int],
    predicted: Sequence[str],
    given: LabelOrder,
    head_orders: Mapping[str, Mapping[str, str]],
    threshold: float,
) -> str | None:
    for name, meaning in head_orders.items():
        if _accuracy(labels, [meaning[wnid] for wnid in predicted], given) > threshold:
            return name
    return None


def _matched_accuracy(labels: Sequence[int], predicted: Sequence[str]) -> float:
    """The head's accuracy if label and WNID belong together whenever each is the most frequent partner of the other."""
    wnid_of = {label: wnid for label, (wnid, _) in _majority(labels, predicted).items()}
    label_of = {wnid: label for wnid, (label, _) in _majority(predicted, labels).items()}
    return float(
        np.mean([wnid_of[k] == wnid and label_of[wnid] == k for k, wnid in zip(labels, predicted, strict=True)])
    )


def majority_votes(labels: Sequence[int], predicted: Sequence[str]) -> MajorityVotes:
    """The WNID that the head predicts most often for the images of each label, and for what fraction of them."""
    return _majority(labels, predicted)


def _find_swapped_classes(labels: Sequence[int], predicted: Sequence[str], given: LabelOrder) -> list[list[str]]:
    """Cycles of classes: for most images of each, the head predicts the next.

    A head that confuses two classes rarely predicts each for the other and neither for itself.
    """
    majority = majority_votes(labels, predicted)
    next_of = {given[label]: wnid for label, (wnid, _) in majority.items() if wnid != given[label]}
    images = Counter((given[label], wnid) for label, wnid in zip(labels, predicted, strict=True))
    cycles = []
    for first in sorted(next_of):
        cycle = [first]
        while (following := next_of.get(cycle[-1])) is not None and following not in cycle:
            cycle.append(following)
        if following == first == min(cycle) and _sign_test_p(cycle, next_of, images) <= ALPHA:
            cycles.append(cycle)
    swapped = {wnid for cycle in cycles for wnid in cycle}
    hits = [wnid == given[label] for label, wnid in zip(labels, predicted, strict=True) if given[label] not in swapped]
    return cycles if hits and np.mean(hits) >= MIN_HEAD_ACCURACY else []


def _sign_test_p(cycle: Sequence[str], next_of: Mapping[str, str], images: Mapping[tuple[str, str], int]) -> float:
    """p-value of a cycle, if the head predicted the next class as often as the image's own.

    The sign test (Dixon and Mood 1946) over the images of the cycle; other predictions do not count.
    """
    swapped = sum(images[wnid, next_of[wnid]] for wnid in cycle)
    n = swapped + sum(images[wnid, wnid] for wnid in cycle)
    return float(sum(comb(n, k) for k in range(swapped, n + 1)) / 2**n)


def _majority(keys: Sequence[K], values: Sequence[V]) -> dict[K, tuple[V, float]]:
    """The most frequent value of each key, and the fraction that it makes up; of equally frequent ones, the smaller."""
    counters: dict[K, Counter[V]] = defaultdict(Counter)
    for key, value in zip(keys, values, strict=True):
        counters[key][value] += 1
    majority = {key: max(sorted(counter), key=counter.__getitem__) for key, counter in counters.items()}
    return {key: (value, counters[key][value] / counters[key].total()) for key, value in majority.items()}


def _message(
    is_separated: bool, disagrees: bool, is_wrong: bool, label_order: str | None, head: str | None, accuracy: float
) -> str:
    if not is_separated:
        return "cannot tell: the centers do not separate the classes well enough"
    if label_order is not None:
        return f"the labels are in another order than labels= says: they are numbered as {label_order}"
    if head is not None:
        return (
            f"the labels are right, but the outputs of the head are in the order of labels={head}, not sorted by WNID"
        )
    if is_wrong:
        return "the labels are neither in the order of labels= nor in a known one; check the list against its source"
    if disagrees:
        return f"cannot tell: the head is right on only {100 * accuracy:.0f} % of the images"
    return f"labels are consistent with the classifier head (top-1 {100 * accuracy:.0f} %)"


def _describe_cycles(cycles: Sequence[Sequence[str]]) -> str:
    shown = ", ".join(" -> ".join([*cycle, cycle[0]]) for cycle in cycles[:MAX_SHOWN])
    rest = f" and {len(cycles) - MAX_SHOWN} more" if len(cycles) > MAX_SHOWN else ""
    return (
        f"the labels of {sum(map(len, cycles))} classes look swapped (label -> prediction of the head): "
        f"{shown}{rest}; check them in the list against its source"
    )


def _imagenet(order: str) -> LabelMap:
    return load(ClassesConfig(table="imagenet-1k"), LabelsConfig(order=order))
