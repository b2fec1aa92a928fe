"""The label check: a classifier head knows its classes by their place, and so betrays labels in another order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagenet_nk.classes.label_map import LabelMap
from imagenet_nk.classes.loading import load
from imagenet_nk.config import ClassesConfig, LabelsConfig

Order = Mapping[int, str]  # label to WNID
Votes = Mapping[int, tuple[str, float]]  # label to the WNID that a head gives most of its images, and their share
GIVEN = "as given"


def known_orders() -> dict[str, Order]:
    """The orders in which people number the 1000 classes: sorted WNIDs and the devkit's, from 0 and from 1."""
    maps = {name: _imagenet(name) for name in ("sorted", "clsloc")}
    return {
        f"{name} from {first}": dict(enumerate(map_.wnids, start=first))
        for name, map_ in maps.items()
        for first in (0, 1)
    }


def head_order(outputs: int, wnids: Sequence[str]) -> tuple[str, ...] | None:
    """The WNID of each output of a head, as timm orders them; None for a head over other classes."""
    if outputs == 1000:
        order = tuple(_imagenet("sorted").wnids)
        return order if set(wnids) <= set(order) else None
    return tuple(sorted(wnids)) if outputs == len(wnids) else None


def check(
    labels_N: NDArray[np.int64], said_N: Sequence[str], given: Order, orders: Mapping[str, Order], ncm: float
) -> dict[str, Any]:
    """Whether head and labels agree, and if not, which known order does.

    labels_N: the numbers in the list; said_N: the WNID that the head gives each image; ncm: top-1 of the centers, or on
    what share of the images they agree with the head, if that is more: the list may be another than theirs.
    Labels count as wrong when the head is right on fewer than half as many images as the centers, which separate the
    classes well, and another order at least doubles it.
    """
    agreement = {
        name: float(np.mean([order.get(label) == said for label, said in zip(labels_N.tolist(), said_N, strict=True)]))
        for name, order in {GIVEN: given, **orders}.items()
    }
    classes = len(set(labels_N.tolist()))
    separate = ncm >= min(0.5, 5 / classes)
    best = max(agreement, key=lambda name: (agreement[name], name == GIVEN))
    wrong = separate and agreement[GIVEN] < ncm / 2
    fits = best if wrong and agreement[best] > max(2 * agreement[GIVEN], ncm / 2) else None
    return {
        "agreement": agreement,
        "labels_wrong": wrong,
        "order_that_fits": fits,
        "verdict": _verdict(wrong, fits, separate),
    }


def votes(labels: Sequence[int], said: Sequence[str]) -> Votes:
    """What the head calls the images of each label for the most part; the smaller WNID where two are level.

    The labels of two classes that were exchanged leave the check above nearly as it was; here they are seen.
    """
    counted: dict[int, Counter[str]] = defaultdict(Counter)
    for label, wnid in zip(labels, said, strict=True):
        counted[label][wnid] += 1
    most = {label: max(sorted(count), key=count.__getitem__) for label, count in counted.items()}
    return {label: (wnid, counted[label][wnid] / counted[label].total()) for label, wnid in most.items()}


def _verdict(wrong: bool, fits: str | None, separate: bool) -> str:
    if not separate:
        return "the centers do not separate the classes well enough to tell"
    if not wrong:
        return "labels and head agree"
    if fits is None:
        return "the labels are not in the order of labels=, nor in one that is known; check the list against its source"
    return f"the labels are in another order than labels= says: they are numbered as {fits}"


def _imagenet(order: str) -> LabelMap:
    return load(ClassesConfig(table="imagenet-1k"), LabelsConfig(order=order))
