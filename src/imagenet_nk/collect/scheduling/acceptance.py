"""Which valid images a class keeps, in draw order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from imagenet_nk.dataset.records import CandidateRecord
from imagenet_nk.reasons import Reason


@dataclass(slots=True)
class Selection:
    """The draw order up to where the class is full, or up to the first unsettled candidate.

    `verdicts[i]` is "" for a kept candidate, else why it is not kept.
    """

    verdicts: list[str] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    image_ids: set[str] = field(default_factory=set)
    contents: set[int] = field(default_factory=set)
    pixels: set[int] = field(default_factory=set)
    looks: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class AcceptanceRules:
    """What makes a valid image of a class unwanted because of others. The two sets grow while a run goes on."""

    near_bits: int | None = None
    placeholders: set[int] = field(default_factory=set)  # contents
    shared: set[int] = field(default_factory=set)  # pixels that two classes have, where those are dropped

    def verdict(self, fact: CandidateRecord, walk: Selection) -> str:
        """Why a valid image is not kept behind what the walk has passed; "" if it is.

        Compared with every valid image before it, kept or not: throwing one out again can then only make the walk
        longer, so that the outcome does not depend on when a placeholder was noticed.
        """
        if fact.image_id in walk.image_ids:
            return Reason.REDRAWN
        if fact.content in self.placeholders:
            return Reason.PLACEHOLDER
        if fact.content in walk.contents or fact.pixels in walk.pixels:
            return Reason.DUPLICATE
        if fact.pixels in self.shared:
            return Reason.SHARED
        if self.near_bits is not None and is_near_duplicate(fact.look, walk.looks, self.near_bits):
            return Reason.NEAR_DUPLICATE
        return ""


def is_near_duplicate(one: int, others: Sequence[int], bits: int) -> bool:
    """Whether a look hash differs from any of the others in at most `bits` bits."""
    return any((one ^ other).bit_count() <= bits for other in others)
