"""Which valid images a class keeps, in draw order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from imagenet_nk.dataset.records import CandidateRecord
from imagenet_nk.reasons import Reason


@dataclass(slots=True)
class Selection:
    """The candidates up to the one that fills the class, or up to the first that is not settled.

    `verdicts[i]` is "" for a kept candidate, else why it is not kept.
    """

    verdicts: list[str] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    image_ids: set[str] = field(default_factory=set)
    contents: set[int] = field(default_factory=set)
    pixels: set[int] = field(default_factory=set)
    dhashes: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class AcceptanceRules:
    """The rules by which a class rejects a valid image because of other images. The two sets grow during a run."""

    near_duplicate_bits: int | None = None
    placeholders: set[int] = field(default_factory=set)  # by content
    shared: set[int] = field(default_factory=set)  # by pixels, of images that two classes have

    def verdict(self, record: CandidateRecord, selection: Selection) -> str:
        """Why a valid image is not kept after those that the selection has reached; "" if it is kept.

        It is compared with every valid image before it, kept or not. So a new exclusion can only make the selection
        longer, and the result does not depend on when a placeholder was noticed.
        """
        if record.image_id in selection.image_ids:
            return Reason.REDRAWN
        if record.content in self.placeholders:
            return Reason.PLACEHOLDER
        if record.content in selection.contents or record.pixels in selection.pixels:
            return Reason.DUPLICATE
        if record.pixels in self.shared:
            return Reason.SHARED
        if self.near_duplicate_bits is not None and is_near_duplicate(
            record.look, selection.dhashes, self.near_duplicate_bits
        ):
            return Reason.NEAR_DUPLICATE
        return ""


def is_near_duplicate(one: int, others: Sequence[int], bits: int) -> bool:
    """Whether a difference hash differs from any of the others in at most `bits` bits."""
    return any((one ^ other).bit_count() <= bits for other in others)
