"""The quota of one class: candidates, their records, what is in flight, and what the selection has reached."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from imagenet_nk.collect.fetching.candidate_read import CandidateRead
from imagenet_nk.collect.scheduling.acceptance import AcceptanceRules, Selection
from imagenet_nk.dataset.ledger import CandidateKey
from imagenet_nk.dataset.records import CandidateRecord
from imagenet_nk.reasons import Reason

_PRIOR = 4.0  # candidates that the overall success rate counts for
_SLOW_FACTOR = 0.3  # of the success probability of a candidate that is slow
_UNBOUNDED = 10**6  # target of a class without one, to compare progress


class ClassQuota:
    """State of one class."""

    def __init__(self, wnid: str, target: int | None, candidates: Iterator[CandidateRead | CandidateRecord]) -> None:
        """`candidates`: in draw order, as records where an earlier run has settled them."""
        self.wnid = wnid
        self.target = math.inf if target is None else target
        self.records: list[CandidateRecord | None] = []
        self.waiting: dict[int, CandidateRead] = {}  # drawn, not started
        self.in_flight: dict[int, tuple[float, float]] = {}  # from when on it is slow, and its success probability
        self.exhausted = False
        self.selection = Selection()
        self.source_count = 1  # sources that it draws from
        self.existing_ids = frozenset[str]()  # image ids that the first source gave, whose files must stay
        self._candidates = candidates
        self._valid_ahead = 0  # valid images that the selection has not reached
        self._images = 0  # valid images of this run
        self._ended = 0  # candidates that ended in this run

    @property
    def is_full(self) -> bool:
        return len(self.selection.kept) >= self.target

    @property
    def lacks_images(self) -> bool:
        """Whether images are lacking. Without a target: whether there are none, or not all could be listed."""
        if math.isfinite(self.target):
            return not self.is_full
        return not self.selection.kept or Reason.UNLISTED in self.selection.verdicts

    @property
    def is_done(self) -> bool:
        """Full, or every candidate has been passed."""
        return self.is_full or (self.exhausted and len(self.selection.verdicts) == len(self.records))

    @property
    def valid_so_far(self) -> int:
        """Valid images so far; the selection may still reject some because of other images."""
        return len(self.selection.kept) + self._valid_ahead

    def add_fallback(self, candidates: Iterator[CandidateRead | CandidateRecord]) -> None:
        """Add the candidates of the fallback behind those of the source."""
        self.source_count += 1
        self.existing_ids = frozenset(record.image_id for record in self.records if record and not record.reason)
        self.exhausted = False
        self._candidates = candidates

    def success_rate(self, overall: float) -> float:
        """Share of candidates that gave an image, close to the overall rate while few have ended."""
        return (self._images + _PRIOR * overall) / (self._ended + _PRIOR)

    def expected_images(self, now: float) -> float:
        """Expected images among the candidates in flight; slow ones count less."""
        return self._expected(now, self.in_flight.values())

    @staticmethod
    def _expected(now: float, flights: Iterable[tuple[float, float]]) -> float:
        return sum(probability * (_SLOW_FACTOR if now > slow_at else 1) for slow_at, probability in flights)

    def needs_more(self, now: float) -> bool:
        """Whether another candidate should be started: what is valid or in flight will probably not fill the class.

        Also if the selection will probably reach a candidate that was passed over: it is started early, so that slow
        candidates are read at the same time.
        """
        if self.is_done or (self.exhausted and not self.waiting):
            return False
        return not self._will_be_full(now) or self._will_reach_waiting(now)

    def _will_be_full(self, now: float) -> bool:
        return self.valid_so_far + self.expected_images(now) >= self.target

    def _will_reach_waiting(self, now: float) -> bool:
        if (first := next(iter(self.waiting), None)) is None:
            return False
        valid = sum(1 for record in self.records[len(self.selection.verdicts) : first] if record and not record.reason)
        expected_images = self._expected(now, (flight for index, flight in self.in_flight.items() if index < first))
        return len(self.selection.kept) + valid + expected_images < self.target

    def progress(self, now: float) -> float:
        """0 to 1. The classes that are furthest behind go first, so that all finish at about the same time."""
        return (self.valid_so_far + self.expected_images(now)) / min(self.target, _UNBOUNDED)

    def candidates(self, now: float) -> Iterator[CandidateRead]:
        """The candidates to read, in draw order; draws more as the caller iterates.

        Only those passed over, while what is valid or in flight will probably fill the class.
        """
        yield from list(self.waiting.values())
        if self._will_be_full(now):
            return
        for item in self._candidates:
            if isinstance(item, CandidateRead):
                item.index = len(self.records)
                self.records.append(None)
                self.waiting[item.index] = item
                yield item
                continue
            self.records.append(item)
            self._valid_ahead += not item.reason
            if self.valid_so_far >= self.target:
                return  # an earlier run may have left enough: select before drawing more
        self.exhausted = True

    def start(self, index: int, slow_at: float, probability: float) -> None:
        """Move a waiting candidate into flight."""
        del self.waiting[index]
        self.in_flight[index] = (slow_at, probability)

    def record(self, index: int, record: CandidateRecord) -> None:
        """Record the result of a candidate."""
        self.in_flight.pop(index, None)
        self.waiting.pop(index, None)
        self.records[index] = record
        self._valid_ahead += not record.reason
        self._ended += 1
        self._images += not record.reason

    def select_next(self, rules: AcceptanceRules) -> Iterator[CandidateRecord]:
        """Select as far as candidates are settled and the class is not full; yields each valid image that it reaches.

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
                if rules.near_duplicate_bits is not None:
                    selection.dhashes.append(record.look)
                if verdict != Reason.REDRAWN:
                    yield record

    def restart(self) -> None:
        """Select again from the start, because a rule has changed for an image that was reached."""
        self._valid_ahead = sum(1 for record in self.records if record and not record.reason)
        self.selection = Selection()

    def contains(self, contents: set[int], pixels: set[int]) -> bool:
        """Whether the selection has reached an image with any of these bytes or pixels."""
        return not (contents.isdisjoint(self.selection.contents) and pixels.isdisjoint(self.selection.pixels))

    def verdicts(self) -> dict[CandidateKey, str]:
        """Of each candidate that was reached: why it is not kept, or ""."""
        reached = zip(self.records, self.selection.verdicts, strict=False)
        return {record.candidate: verdict for record, verdict in reached if record}
