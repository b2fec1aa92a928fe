"""Selection over all classes: placeholders (the same bytes from many URLs) and pixels that two classes share.

Only images that the selection of a class has *reached* are counted, never what was read ahead. A new exclusion makes
selections longer and never shorter, so the counts, and with them the result, are the same in any order of events.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from imagenet_nk.collect.scheduling.acceptance import AcceptanceRules
from imagenet_nk.collect.scheduling.class_quota import ClassQuota
from imagenet_nk.config.collecting import CrossClassDuplicates, InspectConfig
from imagenet_nk.dataset.records import CandidateRecord


class CrossClassSelection:
    """Selects the images of all classes of a run. Reaching the same image again changes no count."""

    def __init__(self, quotas: Sequence[ClassQuota], inspect: InspectConfig) -> None:
        self._quotas = quotas
        self._rules = AcceptanceRules(inspect.near_duplicate_bits)
        self._placeholder_repeats = inspect.placeholder_repeats
        self._drops_shared = inspect.cross_class_duplicates == CrossClassDuplicates.drop
        self._urls: dict[int, set[int]] = {}  # by content, hashes of URLs
        self._wnids: dict[int, str | set[str]] = {}  # by pixels

    def advance(self, quota: ClassQuota) -> set[ClassQuota]:
        """Select on in a class, and again in every class that loses an image by what this one reaches.

        Returns the classes whose selection started again; the class itself may be one of them.
        """
        pending, restarted = deque([quota]), set[ClassQuota]()
        while pending:
            quota = pending.popleft()
            for record in quota.select_next(self._rules):
                if affected := self._exclude(*self._count(quota.wnid, record)):
                    restarted.update(affected)
                    pending.extend(affected)  # with this class, whose iteration is over
                    break
        return restarted

    def _count(self, wnid: str, record: CandidateRecord) -> tuple[set[int], set[int]]:
        """Count an image; returns its content if that is a placeholder, and its pixels if they are to be dropped."""
        urls = self._urls.setdefault(record.content, set())
        if len(urls) < self._placeholder_repeats and "://" in record.url:  # copies of a local file mean nothing
            urls.add(hash(record.url))
        is_placeholder = len(urls) >= self._placeholder_repeats
        wnids = self._wnids.setdefault(record.pixels, wnid)
        if isinstance(wnids, str) and wnids != wnid:
            wnids = self._wnids[record.pixels] = {wnids}
        if isinstance(wnids, set):
            wnids.add(wnid)
        is_dropped = self._drops_shared and isinstance(wnids, set)
        return ({record.content} if is_placeholder else set()), ({record.pixels} if is_dropped else set())

    def _exclude(self, placeholders: set[int], shared: set[int]) -> list[ClassQuota]:
        """Add exclusions; restarts and returns the classes whose selections have reached such an image."""
        placeholders, shared = placeholders - self._rules.placeholders, shared - self._rules.shared
        if not placeholders and not shared:
            return []
        self._rules.placeholders.update(placeholders)
        self._rules.shared.update(shared)
        affected = [quota for quota in self._quotas if quota.contains(placeholders, shared)]
        for quota in affected:
            quota.restart()
        return affected
