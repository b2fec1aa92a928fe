"""Orders in which people number classes, and in which the outputs of classifier heads are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from imagenet_nk.classes.loading import clsloc_wnids
from imagenet_nk.classes.orders import LabelOrder, label_orders
from imagenet_nk.classes.table import read_set

GIVEN = "as given"
TIMM_SUBSETS = {11221: "imagenet-21k-miil", 11821: "imagenet-12k", 21841: "imagenet-22k", 21843: "imagenet-21k-goog"}


@dataclass(frozen=True)
class OrderPair:
    """An order of the labels with an order of the head's outputs."""

    labels: str
    outputs: str
    columns: Tensor  # (K,) int64: the output of each label at hand, -1 for a class that the head does not know


def output_orders(outputs: int, given: LabelOrder) -> dict[str, Sequence[str]]:
    """The WNIDs of a head's outputs in each known order, the likeliest first; none for a head of other classes."""
    if outputs in TIMM_SUBSETS:
        from timm.data import ImageNetInfo

        return {TIMM_SUBSETS[outputs]: ImageNetInfo(TIMM_SUBSETS[outputs]).label_names()}
    orders: dict[str, Sequence[str]] = {}
    if outputs == 1000:
        orders |= {"sorted": read_set("imagenet-1k")[0].wnids, "clsloc": clsloc_wnids()}
    if outputs == len(given):
        orders |= {"sorted": sorted(given.values()), "labels=": [given[label] for label in sorted(given)]}
    return orders


def order_pairs(labels: Sequence[int], given: LabelOrder, outputs: Mapping[str, Sequence[str]]) -> list[OrderPair]:
    """Pairs that are possible, with different columns, those that accuse nobody first."""
    orders = {GIVEN: given, **label_orders(list(given.values()))}
    names = sorted(((of, to) for of in orders for to in outputs), key=lambda pair: pair[0] != GIVEN)
    places = {name: {wnid: index for index, wnid in enumerate(wnids)} for name, wnids in outputs.items()}
    pairs: dict[tuple[int, ...], OrderPair] = {}
    for of, to in names:
        if all(label in orders[of] for label in labels):
            columns = [places[to].get(orders[of][label], -1) for label in labels]
            if max(columns, default=-1) >= 0:
                pairs.setdefault(tuple(columns), OrderPair(of, to, torch.tensor(columns)))
    return list(pairs.values())
