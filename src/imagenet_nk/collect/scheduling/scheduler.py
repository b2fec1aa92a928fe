"""Filling the quotas of many classes at once: which candidate is read next, and what follows from its result."""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence

from imagenet_nk.collect import interrupts
from imagenet_nk.collect.fetching import ledger_rows
from imagenet_nk.collect.fetching.candidate_read import CandidateRead
from imagenet_nk.collect.fetching.candidate_reader import Reader
from imagenet_nk.collect.progress import Progress
from imagenet_nk.collect.scheduling.class_quota import ClassQuota
from imagenet_nk.collect.scheduling.cross_class import CrossClassSelection
from imagenet_nk.config.collecting import InspectConfig
from imagenet_nk.dataset.ledger import AttemptSink
from imagenet_nk.net.host_table import HostTable
from imagenet_nk.reasons import Rejected

_LOOK_AHEAD = 8  # candidates of a class that are passed over because their hosts have no capacity
_TICK_S = 0.2  # seconds between two looks at what changes with time alone, and two calls of the progress callback
_MAX_PROBABILITY = 0.98


class Scheduler:
    """Runs until every class is full or has no candidate left.

    The result depends on what the candidates are, never on timing: an image is kept once every candidate before it is
    settled, and what was read ahead does not count.
    """

    def __init__(
        self,
        quotas: Sequence[ClassQuota],
        *,
        reader: Reader,
        hosts: HostTable,
        ledger: AttemptSink,
        inspect: InspectConfig,
    ) -> None:
        self._quotas = {quota.wnid: quota for quota in quotas}
        self._reader, self._hosts, self._ledger = reader, hosts, ledger
        self._selection = CrossClassSelection(quotas, inspect)
        self._ready_heap: list[tuple[float, int, ClassQuota]] = []  # by progress
        self._queued: set[str] = set()  # classes in the heap
        self._blocked: defaultdict[str, deque[ClassQuota]] = defaultdict(deque)  # by the host without capacity
        self._waiting: set[str] = set()  # classes in _blocked
        self._order = itertools.count()
        self.is_cut_off = False  # the run ended early, because nothing on the web answered any more
        self._open_classes: set[str] = set()
        targets = [quota.target for quota in quotas]
        self.progress = Progress(len(quotas), hosts, None if math.inf in targets else int(sum(targets)))

    def run(self, watch: Callable[[Progress], None]) -> None:
        """Fill all classes; calls `watch` at every tick."""
        self._open_classes.update(quota.wnid for quota in self._quotas.values() if not quota.is_done)
        last_tick = 0.0
        with interrupts.defer_sigint() as raise_if_interrupted:
            while self._open_classes and not self.is_cut_off:
                now = time.monotonic()
                if now - last_tick >= _TICK_S:
                    raise_if_interrupted()
                    self._report_progress(watch)
                    last_tick = now = time.monotonic()
                    self._unblock(now)
                    self._queue((self._quotas[wnid] for wnid in self._open_classes), now)
                self._start(now)
                for read in self._reader.poll(_TICK_S):
                    self._on_result(read)
                self.is_cut_off = self._reader.connectivity.is_offline
        self._report_progress(watch)

    def _report_progress(self, watch: Callable[[Progress], None]) -> None:
        self.progress.done = len(self._quotas) - len(self._open_classes)
        self.progress.kept = int(sum(min(quota.valid_so_far, quota.target) for quota in self._quotas.values()))
        watch(self.progress)

    # --- which candidate is next

    def _unblock(self, now: float) -> None:
        """Release classes whose host has capacity again although none of its requests has ended: a pause is over."""
        for host, waiting in self._blocked.items():
            admission = self._hosts.admission(host, now)
            while waiting and admission.is_suspended:  # all of them may look at candidates of other hosts
                self._release(waiting, now)
            if waiting and admission.can_start:
                self._release(waiting, now)

    def _release(self, waiting: deque[ClassQuota], now: float) -> None:
        """Queue the first of the classes that wait for a host and still need more."""
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
        while self._reader.has_capacity and self._ready_heap:
            _, _, quota = heapq.heappop(self._ready_heap)
            self._queued.discard(quota.wnid)
            if quota.needs_more(now) and self._start_one(quota, now):
                self._queue([quota], now)

    def _start_one(self, quota: ClassQuota, now: float) -> bool:
        """Start the first candidate whose host has capacity, or select on; False if neither is possible."""
        busy_host, passed_over = "", 0
        for read in quota.candidates(now):
            if read.host:
                admission = self._hosts.admission(read.host, now)
                # A source of a single origin is read even then, so that it can report what is wrong.
                if admission.down_reason and not read.source.traits.single_origin:
                    self._reject_host_down(quota, read, admission.down_reason)
                    if quota.needs_more(now):
                        continue
                    return False
                if not admission.can_start:
                    if not admission.is_suspended:
                        busy_host, passed_over = busy_host or read.host, passed_over + 1
                        if passed_over >= _LOOK_AHEAD:
                            break
                    continue
            quota.start(read.index, *self._success_probability(quota, read, now))
            self._reader.start(read, quota.existing_ids)
            return True
        if busy_host:
            self._blocked[busy_host].append(quota)
            self._waiting.add(quota.wnid)
        reached = len(quota.selection.verdicts)
        self._select(quota, now)  # its last candidate may be settled, or an earlier run may have settled more
        return len(quota.selection.verdicts) > reached

    def _success_probability(self, quota: ClassQuota, read: CandidateRead, now: float) -> tuple[float, float]:
        """When a candidate counts as slow, and how probably it gives an image.

        1 for a source of a single origin, which loses few candidates: nothing is read ahead there.
        """
        if read.source.traits.single_origin:
            return math.inf, 1.0
        overall = self._hosts.success_rate
        probability = self._hosts.host_success_rate(read.host) * quota.success_rate(overall) / overall
        return now + self._reader.slow_threshold, min(probability, _MAX_PROBABILITY)

    # --- results

    def _on_result(self, read: CandidateRead) -> None:
        now = time.monotonic()
        self._ledger.record(ledger_rows.attempt_row(read))
        if waiting := self._blocked.get(read.request_host):
            self._release(waiting, now)
        if not read.is_final:
            return
        is_valid = not isinstance(read.verdict, Rejected)
        self._hosts.record_outcome(read.host, image=is_valid)
        self.progress.requests += read.tries
        self.progress.images += is_valid
        self.progress.bytes += read.size
        quota = self._quotas[read.candidate.wnid]
        self._settle(quota, read, now)
        self._queue([quota], now)

    def _reject_host_down(self, quota: ClassQuota, read: CandidateRead, reason: str) -> None:
        read.verdict = ledger_rows.host_down(reason)
        self._ledger.record(ledger_rows.attempt_row(read))
        self._settle(quota, read, time.monotonic())

    def _settle(self, quota: ClassQuota, read: CandidateRead, now: float) -> None:
        if isinstance(read.verdict, Rejected):
            self.progress.reasons[read.verdict.reason] += 1
        quota.record(read.index, ledger_rows.record(read))
        self._select(quota, now)

    def _select(self, quota: ClassQuota, now: float) -> None:
        """Select on in a class; the classes that lose an image by that may need more."""
        affected = self._selection.advance(quota)
        for each in {quota, *affected}:
            if each.is_done:
                self._open_classes.discard(each.wnid)
            else:
                self._open_classes.add(each.wnid)
        self._queue(affected, now)
