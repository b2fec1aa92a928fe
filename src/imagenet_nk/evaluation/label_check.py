"""The label check: a classifier head knows its classes by their place, and so betrays labels in another order."""

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
MajorityVotes = Mapping[
    int, tuple[str, float]
]  # label to the WNID that a head gives most of its images, and their share
GIVEN = "as given"
MIN_HEAD_ACCURACY = (
    0.6  # of the images of all other classes: a head that is right on fewer bears no witness against a class
)
ALPHA = 0.01  # of an exchange that is none, see _by_chance: seven images that speak with one voice are below it
MAX_SHOWN = 3  # exchanges that the verdict names
K = TypeVar("K", int, str)
V = TypeVar("V", int, str)


def imagenet_label_orders() -> dict[str, LabelOrder]:
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


def other_head_orders(outputs: int) -> dict[str, Mapping[str, str]]:
    """Other orders that a head's outputs may be in: the class that an output then means, by the one it seems to."""
    if outputs != 1000:
        return {}
    seems, means = _imagenet("sorted").wnids, _imagenet("clsloc").wnids
    return {"clsloc": dict(zip(seems, means, strict=True))}


def check(
    labels_N: NDArray[np.int64],
    said_N: Sequence[str],
    given: LabelOrder,
    orders: Mapping[str, LabelOrder],
    ncm: float,
    heads: Mapping[str, Mapping[str, str]] | None = None,
) -> dict[str, Any]:
    """Whether head and labels agree, and if not, which known order does: another one of the labels, or of the head.

    labels_N: the numbers in the list; said_N: the WNID that the head gives each image; ncm: top-1 of the centers, or on
    what share of the images they agree with the head, if that is more: the list may be another than theirs; heads: as
    heads_orders() has them.
    Labels count as wrong when the head is right on fewer than half as many images as the centers, which separate the
    classes well, and when another order at least doubles that, or one that is not known would: a head that knows the
    classes by other numbers still tells them apart, one that was never trained does not. Where the order is right,
    `exchanged` names the classes whose labels have changed places: rings of WNIDs, of which the head calls the images
    of each by the next one's name, and those of the last by the first one's.
    """
    labels = labels_N.tolist()
    agreement = {name: _accuracy(labels, said_N, order) for name, order in {GIVEN: given, **orders}.items()}
    enough = max(2 * agreement[GIVEN], ncm / 2)
    separate = ncm >= min(0.5, 5 / len(set(labels)))
    disagree = separate and agreement[GIVEN] < ncm / 2
    best = max(agreement, key=lambda name: (agreement[name], name == GIVEN))
    fits = best if disagree and agreement[best] > enough else None
    turned = {name: _accuracy(labels, [means[said] for said in said_N], given) for name, means in (heads or {}).items()}
    head = next((name for name, share in turned.items() if disagree and fits is None and share > enough), None)
    wrong = disagree and head is None and (fits is not None or _matched_accuracy(labels, said_N) > enough)
    rings = [] if wrong or head or not separate else _find_swapped_classes(labels, said_N, given)
    said = _message(separate, disagree, wrong, fits, head, agreement[GIVEN])
    return {
        "agreement": agreement,
        "labels_wrong": wrong,
        "matching_label_order": fits,
        "matching_head_order": head,
        "swapped_classes": rings,
        "message": _describe_cycles(rings) if rings else said,
    }


def _accuracy(labels: Sequence[int], said: Sequence[str], order: LabelOrder) -> float:
    return float(np.mean([order.get(label) == wnid for label, wnid in zip(labels, said, strict=True)]))


def _matched_accuracy(labels: Sequence[int], said: Sequence[str]) -> float:
    """The share of images on which a head is right if each of its classes is the label that it gives most of them to,
    and each label the class that it is given most."""
    of_label = {label: wnid for label, (wnid, _) in _majority(labels, said).items()}
    of_class = {wnid: label for wnid, (label, _) in _majority(said, labels).items()}
    pairs = [of_label[label] == wnid and of_class[wnid] == label for label, wnid in zip(labels, said, strict=True)]
    return float(np.mean(pairs))


def majority_votes(labels: Sequence[int], said: Sequence[str]) -> MajorityVotes:
    """What the head calls the images of each label for the most part; the smaller WNID where two are level."""
    return _majority(labels, said)


def _find_swapped_classes(labels: Sequence[int], said: Sequence[str], given: LabelOrder) -> list[list[str]]:
    """Rings of classes whose images the head calls, for the most part, by the name of the next.

    A head that confuses classes takes one for another, but hardly ever each for the other and neither for itself.
    """
    called = {given[label]: wnid for label, (wnid, _) in majority_votes(labels, said).items() if wnid != given[label]}
    images = Counter((given[label], wnid) for label, wnid in zip(labels, said, strict=True))
    rings = []
    for first in sorted(called):
        ring = [first]
        while (following := called.get(ring[-1])) is not None and following not in ring:
            ring.append(following)
        if following == first == min(ring) and _sign_test_p(ring, called, images) <= ALPHA:
            rings.append(ring)
    inside = {wnid for ring in rings for wnid in ring}
    others = [wnid == given[label] for label, wnid in zip(labels, said, strict=True) if given[label] not in inside]
    return rings if others and np.mean(others) >= MIN_HEAD_ACCURACY else []


def _sign_test_p(ring: Sequence[str], called: Mapping[str, str], images: Mapping[tuple[str, str], int]) -> float:
    """The chance that a head which takes each class for the other as often as for itself calls so many otherwise.

    The sign test (Dixon and Mood 1946) over the images of a ring; those that are called by a third name do not count.
    """
    otherwise = sum(images[wnid, called[wnid]] for wnid in ring)
    n = otherwise + sum(images[wnid, wnid] for wnid in ring)
    return float(sum(comb(n, k) for k in range(otherwise, n + 1)) / 2**n)


def _majority(of: Sequence[K], given: Sequence[V]) -> dict[K, tuple[V, float]]:
    """What each of some things is given most often, and its share; the smaller where two are level."""
    counted: dict[K, Counter[V]] = defaultdict(Counter)
    for one, other in zip(of, given, strict=True):
        counted[one][other] += 1
    most = {one: max(sorted(count), key=count.__getitem__) for one, count in counted.items()}
    return {one: (other, counted[one][other] / counted[one].total()) for one, other in most.items()}


def _message(separate: bool, disagree: bool, wrong: bool, fits: str | None, head: str | None, agreement: float) -> str:
    if not separate:
        return "the centers do not separate the classes well enough to tell"
    if fits is not None:
        return f"the labels are in another order than labels= says: they are numbered as {fits}"
    if head is not None:
        return (
            f"the labels are right, but the outputs of the head are in the order of labels={head}, not in sorted order"
        )
    if wrong:
        return "the labels are not in the order of labels=, nor in one that is known; check the list against its source"
    if disagree:
        return f"the head does not know the classes well enough to tell: it is right on {agreement:.0%} of the images"
    return f"labels are consistent with the classifier head (top-1 {100 * agreement:.0f} %)"


def _describe_cycles(rings: Sequence[Sequence[str]]) -> str:
    shown = ", ".join(" -> ".join([*ring, ring[0]]) for ring in rings[:MAX_SHOWN])
    rest = f" and {len(rings) - MAX_SHOWN} more" if len(rings) > MAX_SHOWN else ""
    return (
        f"the labels of {sum(map(len, rings))} classes look exchanged among them (label -> what the head sees): "
        f"{shown}{rest}; check them in the list against its source"
    )


def _imagenet(order: str) -> LabelMap:
    return load(ClassesConfig(table="imagenet-1k"), LabelsConfig(order=order))
