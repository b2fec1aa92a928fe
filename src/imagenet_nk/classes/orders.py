"""The orders in which people number ImageNet's classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from imagenet_nk.classes.loading import clsloc_wnids
from imagenet_nk.classes.table import read_set

LabelOrder = Mapping[int, str]  # label to WNID


def label_orders(wnids: Sequence[str]) -> dict[str, LabelOrder]:
    """How people number classes: sorted WNIDs, the devkit's order, and these WNIDs alone; each from 0 and from 1."""
    sequences = {"sorted": read_set("imagenet-1k")[0].wnids, "clsloc": clsloc_wnids(), "dense": sorted(wnids)}
    return {
        f"{name} from {first}": dict(enumerate(sequence, start=first))
        for name, sequence in sequences.items()
        for first in (0, 1)
    }
