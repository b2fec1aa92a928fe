"""What crosses classes: bytes that come from many addresses, pixels that stand in two classes.

Only what a class's draw order has *reached* is counted, never what was fetched ahead of need. A class reaches further
as images are thrown out, and never less far; so the counts, and with them the outcome, end the same in any order.
"""

from __future__ import annotations

from imagenet_nk.dataset.records import CandidateRecord


class CrossClassIndex:
    """Counts over all classes of a run. Reaching the same image again changes nothing."""

    def __init__(self, placeholder_repeats: int) -> None:
        self._needed = placeholder_repeats
        self._addresses: dict[int, set[int]] = {}  # by content, hashes of addresses
        self._classes: dict[int, str | set[str]] = {}  # by pixels

    def reach(self, wnid: str, fact: CandidateRecord) -> tuple[bool, bool]:
        """Count a reached image. Returns (its bytes are a placeholder's now, its pixels stand in two classes now)."""
        addresses = self._addresses.setdefault(fact.content, set())
        if len(addresses) < self._needed and "://" in fact.url:  # files that someone has by choice betray nothing
            addresses.add(hash(fact.url))
        classes = self._classes.setdefault(fact.pixels, wnid)
        if isinstance(classes, str):
            if classes == wnid:
                return len(addresses) >= self._needed, False
            classes = self._classes[fact.pixels] = {classes}
        classes.add(wnid)
        return len(addresses) >= self._needed, True
