"""One class on its way to nk images: what is settled, what the draw order has reached, what is still worth asking."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from imagenet_nk.collect.fetching.work_item import QueuedCandidate
from imagenet_nk.collect.scheduling.acceptance import AcceptanceRules, Selection
from imagenet_nk.dataset.records import CandidateRecord
from imagenet_nk.reasons import UNLISTED

_PRIOR = 4.0  # candidates that the overall success rate counts for
_LATE = 0.3  # what hope shrinks to when a candidate is late
_FAR = 10**6  # quota of a class that wants all there is, for comparing progress


class ClassQuota:
    """State of one class."""

    def __init__(
        self, wnid: str, quota: int | None, candidates: Iterator[tuple[QueuedCandidate, CandidateRecord | None]]
    ) -> None:
        """`candidates`: in draw order, with the fact where an earlier run has settled it."""
        self.wnid = wnid
        self.quota = math.inf if quota is None else quota
        self.facts: list[CandidateRecord | None] = []
        self.waiting: dict[int, QueuedCandidate] = {}  # drawn, not started
        self.in_flight: dict[int, tuple[float, float]] = {}  # when it is late, with which hope of an image
        self.exhausted = False
        self.walk = Selection()
        self.ranks = 1  # sources that it draws from
        self.taken: frozenset[str] = frozenset()  # image ids that earlier sources gave, whose files are not to be lost
        self._candidates = candidates
        self._valid_ahead = 0  # settled and valid, behind an unsettled one
        self._images = 0  # valid ones among
        self._ended = 0  # the candidates that ended in this run

    @property
    def full(self) -> bool:
        return len(self.walk.kept) >= self.quota

    @property
    def short(self) -> bool:
        """Whether images are lacking. Where all that there is is wanted: there are none, or not all could be listed."""
        if math.isfinite(self.quota):
            return not self.full
        return not self.walk.kept or UNLISTED in self.walk.verdicts

    @property
    def done(self) -> bool:
        """Full, or every candidate there is has been walked."""
        return self.full or (self.exhausted and len(self.walk.verdicts) == len(self.facts))

    @property
    def certain(self) -> int:
        """Valid images so far; at most this many are still thrown out for other images' sake."""
        return len(self.walk.kept) + self._valid_ahead

    def extend(self, candidates: Iterator[tuple[QueuedCandidate, CandidateRecord | None]]) -> None:
        """Draw on from another source behind the candidates so far."""
        self.ranks += 1
        self.taken = frozenset(fact.image_id for fact in self.facts if fact and not fact.reason)
        self.exhausted = False
        self._candidates = candidates

    def success(self, overall: float) -> float:
        """Share of candidates that gave an image, drawn towards the overall rate while few of the class are known."""
        return (self._images + _PRIOR * overall) / (self._ended + _PRIOR)

    def expected(self, now: float) -> float:
        """Images to be hoped for from what is in flight. What takes long is rarely an image any more."""
        return self._hope(now, self.in_flight.values())

    @staticmethod
    def _hope(now: float, flights: Iterable[tuple[float, float]]) -> float:
        return sum(hope * (_LATE if now > late_at else 1) for late_at, hope in flights)

    def wishes(self, now: float) -> bool:
        """Whether more should be started: what is certain and in flight will probably not do.

        Or the walk will probably come to a candidate that was put off, whatever was found behind it. It is started
        before the walk stands there: slow ones are then waited for side by side, not one after the other.
        """
        if self.done or (self.exhausted and not self.waiting):
            return False
        return not self._provided(now) or self._comes_to_waiting(now)

    def _provided(self, now: float) -> bool:
        return self.certain + self.expected(now) >= self.quota

    def _comes_to_waiting(self, now: float) -> bool:
        if (first := next(iter(self.waiting), None)) is None:
            return False
        found = sum(1 for fact in self.facts[len(self.walk.verdicts) : first] if fact and not fact.reason)
        hoped = self._hope(now, (flight for index, flight in self.in_flight.items() if index < first))
        return len(self.walk.kept) + found + hoped < self.quota

    def progress(self, now: float) -> float:
        """0 (nothing yet) to 1: classes that are furthest behind go first, so that all finish together."""
        return (self.certain + self.expected(now)) / min(self.quota, _FAR)

    def candidates(self, now: float) -> Iterator[tuple[int, QueuedCandidate]]:
        """The unsettled candidates that are not in flight, in draw order, drawing on as far as the caller goes.

        None beyond those put off while what is certain and in flight will probably do.
        """
        yield from list(self.waiting.items())
        if self._provided(now):
            return
        for drawn, fact in self._candidates:
            self.facts.append(fact)
            if fact is None:
                index = len(self.facts) - 1
                self.waiting[index] = drawn
                yield index, drawn
                continue
            self._valid_ahead += not fact.reason
            if self.certain >= self.quota:
                return  # what an earlier run left may do: walk before drawing on
        self.exhausted = True

    def start(self, index: int, late_at: float, hope: float) -> None:
        """Move a waiting candidate into flight."""
        del self.waiting[index]
        self.in_flight[index] = (late_at, hope)

    def settle(self, index: int, fact: CandidateRecord) -> None:
        """Note what a candidate came to."""
        self.in_flight.pop(index, None)
        self.waiting.pop(index, None)
        self.facts[index] = fact
        self._valid_ahead += not fact.reason
        self._ended += 1
        self._images += not fact.reason

    def advance(self, rules: AcceptanceRules) -> Iterator[CandidateRecord]:
        """Walk on as far as candidates are settled and the class is not full; yields the valid ones reached.

        An image that is met again, as the fallback gives it, is not reached twice.
        """
        walk = self.walk
        while not self.full and len(walk.verdicts) < len(self.facts):
            fact = self.facts[len(walk.verdicts)]
            if fact is None:
                return
            verdict = fact.reason or rules.verdict(fact, walk)
            if not verdict:
                walk.kept.append(len(walk.verdicts))
            walk.verdicts.append(verdict)
            if not fact.reason:
                self._valid_ahead -= 1
                walk.image_ids.add(fact.image_id)
                walk.contents.add(fact.content)
                walk.pixels.add(fact.pixels)
                if rules.near_bits is not None:
                    walk.looks.append(fact.look)
                if verdict != "redrawn":
                    yield fact

    def walk_again(self) -> None:
        """Start over: a rule has changed under images that were reached."""
        self._valid_ahead = sum(1 for fact in self.facts if fact and not fact.reason)
        self.walk = Selection()

    def reaches(self, contents: set[int], pixels: set[int]) -> bool:
        """Whether the walk has passed an image with any of these bytes or pixels."""
        return not (contents.isdisjoint(self.walk.contents) and pixels.isdisjoint(self.walk.pixels))

    def walked(self) -> Iterator[tuple[CandidateRecord, str]]:
        """What the walk has passed, in draw order, with its verdicts."""
        for fact, verdict in zip(self.facts, self.walk.verdicts, strict=False):
            if fact:
                yield fact, verdict

    def verdicts(self) -> dict[tuple[str, int, str], str]:
        """The same by (source, rank, key)."""
        return {(fact.source, fact.rank, fact.key): verdict for fact, verdict in self.walked()}
