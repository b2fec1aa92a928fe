"""One class on its way to nk images: what is settled, what the draw order has reached, what is still worth asking."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from imagenet_nk.collect.fetching.work_item import QueuedCandidate
from imagenet_nk.collect.scheduling.acceptance import AcceptanceRules, Selection
from imagenet_nk.dataset.ledger import CandidateKey
from imagenet_nk.dataset.records import CandidateRecord
from imagenet_nk.reasons import Reason

_PRIOR = 4.0  # candidates that the overall success rate counts for
_LATE = 0.3  # what hope shrinks to when a candidate is late
_FAR = 10**6  # quota of a class that wants all there is, for comparing progress


class ClassQuota:
    """State of one class."""

    def __init__(
        self, wnid: str, target: int | None, candidates: Iterator[tuple[QueuedCandidate, CandidateRecord | None]]
    ) -> None:
        """`candidates`: in draw order, with the record where an earlier run has settled it."""
        self.wnid = wnid
        self.target = math.inf if target is None else target
        self.records: list[CandidateRecord | None] = []
        self.waiting: dict[int, QueuedCandidate] = {}  # drawn, not started
        self.in_flight: dict[int, tuple[float, float]] = {}  # when it is late, with which hope of an image
        self.exhausted = False
        self.selection = Selection()
        self.source_count = 1  # sources that it draws from
        self.existing_ids: frozenset[str] = (
            frozenset()
        )  # image ids that earlier sources gave, whose files are not to be lost
        self._candidates = candidates
        self._valid_ahead = 0  # settled and valid, behind an unsettled one
        self._images = 0  # valid ones among
        self._ended = 0  # the candidates that ended in this run

    @property
    def is_full(self) -> bool:
        return len(self.selection.kept) >= self.target

    @property
    def lacks_images(self) -> bool:
        """Whether images are lacking. Where all that there is is wanted: there are none, or not all could be listed."""
        if math.isfinite(self.target):
            return not self.is_full
        return not self.selection.kept or Reason.UNLISTED in self.selection.verdicts

    @property
    def is_done(self) -> bool:
        """Full, or every candidate has been passed."""
        return self.is_full or (self.exhausted and len(self.selection.verdicts) == len(self.records))

    @property
    def valid_so_far(self) -> int:
        """Valid images so far; at most this many are still thrown out for other images' sake."""
        return len(self.selection.kept) + self._valid_ahead

    def extend(self, candidates: Iterator[tuple[QueuedCandidate, CandidateRecord | None]]) -> None:
        """Add the candidates of the fallback behind those of the source."""
        self.source_count += 1
        self.existing_ids = frozenset(record.image_id for record in self.records if record and not record.reason)
        self.exhausted = False
        self._candidates = candidates

    def success(self, overall: float) -> float:
        """Share of candidates that gave an image, drawn towards the overall rate while few of the class are known."""
        return (self._images + _PRIOR * overall) / (self._ended + _PRIOR)

    def expected(self, now: float) -> float:
        """Expected images among the candidates in flight; a late one is less likely to be an image."""
        return self._success_probability(now, self.in_flight.values())

    @staticmethod
    def _success_probability(now: float, flights: Iterable[tuple[float, float]]) -> float:
        return sum(probability * (_LATE if now > late_at else 1) for late_at, probability in flights)

    def needs_more(self, now: float) -> bool:
        """Whether more candidates should be started: those valid and in flight will probably not fill the class.

        Or the selection will probably reach a candidate that was postponed; it is started before that, so that slow
        candidates are waited for side by side.
        """
        if self.is_done or (self.exhausted and not self.waiting):
            return False
        return not self._is_provided(now) or self._reaches_waiting(now)

    def _is_provided(self, now: float) -> bool:
        return self.valid_so_far + self.expected(now) >= self.target

    def _reaches_waiting(self, now: float) -> bool:
        if (first := next(iter(self.waiting), None)) is None:
            return False
        found = sum(1 for record in self.records[len(self.selection.verdicts) : first] if record and not record.reason)
        expected_images = self._success_probability(
            now, (flight for index, flight in self.in_flight.items() if index < first)
        )
        return len(self.selection.kept) + found + expected_images < self.target

    def progress(self, now: float) -> float:
        """0 (nothing yet) to 1: classes that are furthest behind go first, so that all finish together."""
        return (self.valid_so_far + self.expected(now)) / min(self.target, _FAR)

    def candidates(self, now: float) -> Iterator[tuple[int, QueuedCandidate]]:
        """The unsettled candidates that are not in flight, in draw order; draws more as the caller iterates.

        Only the postponed ones, while those valid and in flight will probably fill the class.
        """
        yield from list(self.waiting.items())
        if self._is_provided(now):
            return
        for drawn, record in self._candidates:
            self.records.append(record)
            if record is None:
                index = len(self.records) - 1
                self.waiting[index] = drawn
                yield index, drawn
                continue
            self._valid_ahead += not record.reason
            if self.valid_so_far >= self.target:
                return  # an earlier run may have left enough: select before drawing more
        self.exhausted = True

    def start(self, index: int, late_at: float, probability: float) -> None:
        """Move a waiting candidate into flight."""
        del self.waiting[index]
        self.in_flight[index] = (late_at, probability)

    def settle(self, index: int, record: CandidateRecord) -> None:
        """Record the result of a candidate."""
        self.in_flight.pop(index, None)
        self.waiting.pop(index, None)
        self.records[index] = record
        self._valid_ahead += not record.reason
        self._ended += 1
        self._images += not record.reason

    def advance(self, rules: AcceptanceRules) -> Iterator[CandidateRecord]:
        """Select on, as far as candidates are settled and the class is not full; yields the valid ones passed.

        An image that the fallback gives again is not yielded twice.
        """
        selection = self.selection
        while not self.is_full and len(selection.verdicts) < len(self.records):
            record = self.records[len(selection.verdicts)]
            if record is None:
                return
            verdict = record.reason or rules.verdict(record, selection)
            if not verdict:
                selection.kept.append(len(selection.verdicts))
            selection.verdicts.append(verdict)
            if not record.reason:
                self._valid_ahead -= 1
                selection.image_ids.add(record.image_id)
                selection.contents.add(record.content)
                selection.pixels.add(record.pixels)
                if rules.near_bits is not None:
                    selection.looks.append(record.look)
                if verdict != Reason.REDRAWN:
                    yield record

    def restart(self) -> None:
        """Select again from the start: a rule has changed for images that were passed."""
        self._valid_ahead = sum(1 for record in self.records if record and not record.reason)
        self.selection = Selection()

    def contains(self, contents: set[int], pixels: set[int]) -> bool:
        """Whether the selection has passed an image with any of these bytes or pixels."""
        return not (contents.isdisjoint(self.selection.contents) and pixels.isdisjoint(self.selection.pixels))

    def selected(self) -> Iterator[tuple[CandidateRecord, str]]:
        """The candidates passed, in draw order, with the reason why each is not kept, or ""."""
        for record, verdict in zip(self.records, self.selection.verdicts, strict=False):
            if record:
                yield record, verdict

    def verdicts(self) -> dict[CandidateKey, str]:
        """The same by candidate."""
        return {record.candidate: verdict for record, verdict in self.selected()}
