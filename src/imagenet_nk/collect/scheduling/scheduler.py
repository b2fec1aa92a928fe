"""Filling the quotas of many classes at once: what to ask next, and what the answers come to."""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence

from imagenet_nk.collect import interrupts
from imagenet_nk.collect.fetching import ledger_rows
from imagenet_nk.collect.fetching.candidate_reader import Reader
from imagenet_nk.collect.fetching.inspector import ImageInfo
from imagenet_nk.collect.fetching.work_item import QueuedCandidate, ReadOutcome
from imagenet_nk.collect.progress import Progress
from imagenet_nk.collect.scheduling.acceptance import AcceptanceRules
from imagenet_nk.collect.scheduling.class_quota import ClassQuota
from imagenet_nk.collect.scheduling.cross_class import CrossClassIndex
from imagenet_nk.dataset.ledger import AttemptSink
from imagenet_nk.dataset.records import CandidateRecord
from imagenet_nk.net.host_table import HostTable
from imagenet_nk.sources.contract import Rejected

_AHEAD = 8  # candidates looked at for one whose host has room
_TICK_S = 0.2  # seconds between two looks at what time alone changes, and two calls of who watches


class Scheduler:
    """Runs until every class is full or has no candidate left.

    The outcome depends on what the candidates are, never on timing: an image is kept once every candidate before it is
    settled, and what is fetched ahead of need is only not counted.
    """

    def __init__(
        self,
        quotas: Sequence[ClassQuota],
        *,
        reader: Reader,
        hosts: HostTable,
        ledger: AttemptSink,
        rules: AcceptanceRules,
        repeats: CrossClassIndex,
        drop_shared: bool,
    ) -> None:
        self._quotas = {quota.wnid: quota for quota in quotas}
        self._reader, self._hosts, self._ledger = reader, hosts, ledger
        self._rules, self._repeats, self._drop_shared = rules, repeats, drop_shared
        self._ready_heap: list[tuple[float, int, ClassQuota]] = []  # heap by progress
        self._queued: set[str] = set()
        self._blocked: defaultdict[str, deque[ClassQuota]] = defaultdict(deque)  # by the host that has no room
        self._waiting: set[str] = set()  # classes in _blocked
        self._order = itertools.count()
        self.cut_off = False  # the run ended before its time: nothing on the web answered any more
        self._open_classes: set[str] = set()  # a class of which nothing is wanted is done before it begins
        targets = [quota.target for quota in quotas]
        self.progress = Progress(len(quotas), hosts, None if math.inf in targets else int(sum(targets)))

    def run(self, watch: Callable[[Progress], None]) -> None:
        """Fill all classes; calls `watch` at every tick."""
        self._open_classes.update(quota.wnid for quota in self._quotas.values() if not quota.is_done)
        ticked = 0.0
        with interrupts.defer_sigint() as raise_if_interrupted:
            while self._open_classes and not self.cut_off:
                now = time.monotonic()
                if now - ticked >= _TICK_S:
                    raise_if_interrupted()
                    self._report_progress(watch)
                    ticked = now = time.monotonic()
                    self._unblock(now)
                    self._queue((self._quotas[wnid] for wnid in self._open_classes), now)
                self._start(now)
                for outcome in self._reader.poll(_TICK_S):
                    self._take(outcome)
                self.cut_off = self._reader.web.is_offline
        self._report_progress(watch)

    def _report_progress(self, watch: Callable[[Progress], None]) -> None:
        self.progress.done = len(self._quotas) - len(self._open_classes)
        self.progress.kept = int(sum(min(quota.valid_so_far, quota.target) for quota in self._quotas.values()))
        watch(self.progress)

    # --- what to ask next

    def _unblock(self, now: float) -> None:
        """Let classes go on whose host has room again without one of its requests having ended: its pause is over."""
        for host, waiting in self._blocked.items():
            while waiting and self._hosts.get(host).is_suspended:  # all may look elsewhere
                self._release(waiting, now)
            if waiting and self._hosts.can_start(host, now):
                self._release(waiting, now)

    def _release(self, waiting: deque[ClassQuota], now: float) -> None:
        """Queue the first of the classes that wait for a host and still wish for more."""
        while waiting:
            quota = waiting.popleft()
            self._waiting.discard(quota.wnid)
            if quota.needs_more(now):
                self._queue([quota], now)
                return

    def _queue(self, quotas: Iterable[ClassQuota], now: float) -> None:
        for quota in quotas:
            if quota.wnid not in self._queued and quota.wnid not in self._waiting and quota.needs_more(now):
                self._queued.add(quota.wnid)
                heapq.heappush(self._ready_heap, (quota.progress(now), next(self._order), quota))

    def _start(self, now: float) -> None:
        while self._reader.free and self._ready_heap:
            _, _, quota = heapq.heappop(self._ready_heap)
            self._queued.discard(quota.wnid)
            if quota.needs_more(now) and self._start_one(quota, now):
                self._queue([quota], now)

    def _start_one(self, quota: ClassQuota, now: float) -> bool:
        """Start the first candidate of a class whose host has room, or walk on; False if neither can be done."""
        busy = ""
        looked_at = 0
        for index, drawn in quota.candidates(now):
            host = drawn.host
            if host:
                # The only place of a source is asked all the same, so that the source can say what is wrong with it.
                if (fault := self._hosts.down_reason(host)) and not drawn.source.traits.single_origin:
                    self._reject_host_down(quota, index, drawn, fault)
                    if quota.needs_more(now):
                        continue
                    return False
                if not self._hosts.can_start(host, now):
                    if not self._hosts.get(
                        host
                    ).is_suspended:  # a host that is set aside does not use up the look-ahead
                        busy, looked_at = busy or host, looked_at + 1
                        if looked_at >= _AHEAD:
                            break
                    continue
            quota.start(index, *self._success_probability(quota, drawn, now))
            self._reader.start(drawn.candidate, drawn.source, (quota, index, drawn), quota.existing_ids)
            return True
        if busy:
            self._blocked[busy].append(quota)
            self._waiting.add(quota.wnid)
        selected = len(quota.selection.verdicts)
        self._advance(quota)  # it may have come to its last candidate, or upon what an earlier run settled
        return len(quota.selection.verdicts) > selected

    def _success_probability(self, quota: ClassQuota, drawn: QueuedCandidate, now: float) -> tuple[float, float]:
        """When a candidate is late, and with which hope of an image it is started.

        What lies at one place comes in the end, as a rule: nothing is read ahead of need for fear of losses.
        """
        if drawn.source.traits.single_origin:
            return math.inf, 1.0
        probability = (
            self._hosts.host_success_rate(drawn.host)
            * quota.success(self._hosts.success_rate)
            / self._hosts.success_rate
        )
        return now + self._reader.late_after, min(probability, 0.98)

    # --- what the answers come to

    def _take(self, outcome: ReadOutcome) -> None:
        now = time.monotonic()
        quota, index, drawn = outcome.reading.ticket
        self._ledger.record(ledger_rows.attempt_row(drawn, outcome))
        if waiting := self._blocked.get(outcome.reading.host):
            self._release(waiting, now)
        if not outcome.final:
            return
        self.progress.requests += outcome.reading.tries
        valid = isinstance(outcome.judged.verdict, ImageInfo)
        self._hosts.record_outcome(drawn.host, image=valid)
        self.progress.images += valid
        self.progress.bytes += outcome.judged.size
        if isinstance(outcome.judged.verdict, Rejected):
            self.progress.reasons[outcome.judged.verdict.reason] += 1
        quota.settle(index, ledger_rows.record(drawn, outcome))
        self._advance(quota)
        self._queue([quota], now)

    def _reject_host_down(self, quota: ClassQuota, index: int, drawn: QueuedCandidate, fault: str) -> None:
        self._ledger.record(ledger_rows.host_down_row(drawn, fault))
        self.progress.reasons[fault] += 1
        quota.settle(index, ledger_rows.fact_unasked(drawn, fault))
        self._advance(quota)

    def _advance(self, quota: ClassQuota) -> None:
        """Walk on in a class, and again in every class that an image is lost to by what this one reaches."""
        pending = deque([quota])
        while pending:
            quota = pending.popleft()
            for reached in quota.advance(self._rules):
                if affected := self._count(quota, reached):
                    pending.extend(affected)  # this one among them: its walk starts over
                    break
            if quota.is_done:
                self._open_classes.discard(quota.wnid)
            else:
                self._open_classes.add(quota.wnid)

    def _count(self, quota: ClassQuota, reached: CandidateRecord) -> list[ClassQuota]:
        placeholder, shared = self._repeats.reach(quota.wnid, reached)
        shared = shared and self._drop_shared
        if not placeholder and not shared:
            return []
        affected = self._add_exclusions(
            {reached.content} if placeholder else set(), {reached.pixels} if shared else set()
        )
        self._queue(affected, time.monotonic())
        return affected

    def _add_exclusions(self, placeholders: set[int], shared: set[int]) -> list[ClassQuota]:
        """Let the rules grow; returns the classes that they touch, whose walks start over."""
        placeholders, shared = placeholders - self._rules.placeholders, shared - self._rules.shared
        if not placeholders and not shared:
            return []
        self._rules.placeholders.update(placeholders)
        self._rules.shared.update(shared)
        affected = [quota for quota in self._quotas.values() if quota.contains(placeholders, shared)]
        for quota in affected:
            quota.restart()
        return affected
