"""What does not decode is read again before that is believed, where all images lie in one place.

A picture that somebody has put up may well be none; a member of an archive that is none was more likely damaged on the
way, or is a piece of another file. It is settled when two readings gave the same bytes.
"""

from __future__ import annotations

import logging
from collections import defaultdict

from imagenet_nk.collect.fetching.inspector import ImageInfo
from imagenet_nk.collect.fetching.work_item import QueuedCandidate, ReadOutcome
from imagenet_nk.errors import ContradictionError
from imagenet_nk.sources.contract import TRY_AGAIN, HasCache, Rejected

log = logging.getLogger(__name__)

DAMAGE = frozenset({"not_image", "truncated", "corrupt", "unreadable"})
_READINGS = 4  # of one candidate, before its place is said to give other bytes each time


class RereadPolicy:
    """The candidates at hand of which a reading has ended in damage, each with the bytes it gave."""

    def __init__(self) -> None:
        self._seen: defaultdict[tuple[int, str, str], list[str]] = defaultdict(list)
        self._told = False

    def wanted(self, drawn: QueuedCandidate, outcome: ReadOutcome) -> bool:
        """Whether a candidate is to be read once more before it is settled; its source then fetches it anew.

        Raises ContradictionError for one that gives other bytes at each reading, and no image.
        """
        candidate, source, verdict = drawn.candidate, drawn.source, outcome.judged.verdict
        if not source.one_place:
            return False
        key = (drawn.rank, candidate.wnid, candidate.key)
        if not isinstance(verdict, Rejected) or verdict.reason not in DAMAGE:
            if self._seen.pop(key, None) and isinstance(verdict, ImageInfo) and not self._told:
                self._told = True
                log.warning(
                    "%s came damaged, and not so when it was read again: something on the way to source=%s garbles "
                    "what comes through it",
                    candidate.url,
                    source.name,
                )
            return False
        seen = self._seen[key]
        if verdict.content in seen:
            del self._seen[key]
            return False
        seen.append(verdict.content)
        if len(seen) == _READINGS:
            raise ContradictionError(f"{candidate.url}: other bytes come at each reading, and no image; {TRY_AGAIN}")
        if isinstance(source, HasCache):
            source.doubt(candidate)
        return True
