"""Collecting over an engine: a map over shards of classes, then the ordinary run over what they recorded.

Workers collect the shards, and the driver writes the rows that they report into its ledger. Then it runs over all
classes, from the records that the workers returned: it counts what crosses classes, and reads the few candidates that
classes need because of that, or that only the fallback has. So the result is that of one process.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile

from imagenet_nk.collect import interrupts
from imagenet_nk.collect.distributed.shard import Shard, ShardResult, Shards, WorkerReport, WorkerSpec
from imagenet_nk.collect.distributed.worker import WarningBuffer, collect_shard, collected_warnings
from imagenet_nk.collect.factory import iter_candidates
from imagenet_nk.collect.fetching.candidate_read import CandidateRead, Records
from imagenet_nk.collect.job import Job, ProgressCallback
from imagenet_nk.collect.open_sources import open_fallback
from imagenet_nk.collect.progress import Progress
from imagenet_nk.collect.recorded import select_recorded
from imagenet_nk.collect.scheduling.class_quota import ClassQuota
from imagenet_nk.collect.single_process import LocalRun
from imagenet_nk.dataset.dataset import DataSet
from imagenet_nk.dataset.records import CandidateRecord
from imagenet_nk.net.host_table import HostTable

log = logging.getLogger(__name__)


class DistributedRun:
    """All classes of a job. `first_is_open`: whether the source could be opened; else all comes from the fallback."""

    def __init__(
        self, job: Job, dataset: DataSet, spec: WorkerSpec, workers: int, *, since: int, first_is_open: bool
    ) -> None:
        """`since`: id of the ledger's last row before this run."""
        self._job, self._dataset, self._spec, self._workers = job, dataset, spec, workers
        self._since, self.first_is_open = since, first_is_open
        self._target_of = dataset.state.target_of(job.nk)
        self._hosts = HostTable(job.http)  # the slowest ones of the workers, for the display
        self._total = self._target_total()
        self._reports: dict[int, WorkerReport] = {}  # the last one of each shard
        self._lost_attempts: list[Progress] = []  # of attempts whose worker died
        self._results: list[ShardResult] = []
        self._completing_run: LocalRun | None = None

    @property
    def progress(self) -> Progress:
        """Over all workers, and the run that completes the classes."""
        shards = [report.progress for report in self._reports.values()]
        done, kept = sum(shard.done for shard in shards), sum(shard.kept for shard in shards)
        progress = Progress(len(self._job.label_map), self._hosts, self._total, done, kept)
        for part in [*self._lost_attempts, *shards]:
            progress.add_requests(part)
        if self._completing_run:
            last = self._completing_run.progress
            progress.done, progress.kept = max(done, last.done), max(kept, last.kept)
            progress.add_requests(last)
        return progress

    @property
    def has_answers(self) -> bool:
        """Whether any host answered, or none got a request."""
        answers = [result.has_answers for result in self._results if result.hosts]
        if answers or self._completing_run is None:
            return any(answers) or not answers
        return self._completing_run.has_answers

    @property
    def hosts_requested(self) -> int:
        """The most hosts that one process sent requests to; several processes may share hosts."""
        after = [self._completing_run.hosts_requested] if self._completing_run else []
        return max([*(result.hosts for result in self._results), *after], default=0)

    @property
    def is_complete(self) -> bool:
        """False: a fallback was needed and could not be used."""
        return self._completing_run is None or self._completing_run.is_complete

    @property
    def is_cut_off(self) -> bool:
        """Whether it ended because nothing on the web answered any more."""
        shards = any(result.is_cut_off for result in self._results)
        return shards or bool(self._completing_run and self._completing_run.is_cut_off)

    @property
    def quotas(self) -> Sequence[ClassQuota]:
        """The classes, as far as they were collected."""
        if self._completing_run is not None:
            return self._completing_run.quotas
        self._dataset.ledger.flush()
        return select_recorded(self._dataset, self._job.label_map.wnids, self._target_of, self._job.inspect)

    def run(self, watch: ProgressCallback) -> None:
        """Collect the shards, then complete the classes in this process."""
        if not self.first_is_open:
            open_fallback(self._job, self._dataset, is_required=True)
        with collected_warnings() as warnings:
            self._map(watch, warnings)
            if self.has_answers and not self.is_cut_off:
                with warnings.without_repetitions():  # the completing run reads the same sources again
                    self._complete(watch)

    def close(self) -> None:
        if self._completing_run is not None:
            self._completing_run.close()

    # --- the shards

    def _map(self, watch: ProgressCallback, warnings: WarningBuffer) -> None:
        shards = Shards(self._job.label_map.wnids, self._workers, self._build_shard)
        with interrupts.defer_sigint() as raise_if_interrupted:

            def tick() -> None:
                raise_if_interrupted()
                watch(self.progress)

            def on_report(shard: int, report: WorkerReport) -> None:
                self._on_report(shard, report)
                for text in report.warnings:
                    if not warnings.contains(text):
                        log.warning("%s", text)

            results = self._job.engine.map(collect_shard, shards, workers=self._workers, on_report=on_report, tick=tick)
            self._results.extend(result for _, result in results)

    def _build_shard(self, wnids: Sequence[str], attempt: int) -> Shard:
        if attempt > 1:  # what the worker that died has reported is settled
            self._dataset.ledger.flush()
            self._dataset.store.refresh()
        rank = 0 if self.first_is_open else 1
        targets = {wnid: self._target_of(wnid) for wnid in wnids}
        return Shard(self._spec, attempt, rank, targets, {wnid: self._load_records(wnid) for wnid in wnids})

    def _load_records(self, wnid: str) -> Records:
        return self._dataset.records.load(wnid, self._job.retry, self._since)

    def _on_report(self, shard: int, report: WorkerReport) -> None:
        self._dataset.ledger.record_many(report.rows)
        before = self._reports.get(shard)
        if before is not None and report.attempt != before.attempt:
            self._lost_attempts.append(before.progress)
        self._reports[shard] = report
        self._hosts.table.update(report.progress.hosts.table)

    def _target_total(self) -> int | None:
        """Images of all classes; None = as many as there are."""
        counts = [self._target_of(wnid) for wnid in self._job.label_map.wnids]
        return None if None in counts else sum(filter(None, counts))

    # --- the run that completes the classes

    def _complete(self, watch: ProgressCallback) -> None:
        self._dataset.ledger.flush()
        self._dataset.store.refresh()
        self._completing_run = LocalRun(
            self._job,
            self._dataset,
            first_is_open=self.first_is_open,
            fallback_is_open=not self.first_is_open,
            candidates=self._continued_candidates if self.first_is_open else None,
        )
        now = time.monotonic()
        for pause in (pause for result in self._results for pause in result.long_pauses):
            self._completing_run.hosts.apply_long_pause(pause, now)
        self._completing_run.run(lambda _: watch(self.progress))

    def _continued_candidates(self, wnid: str) -> Iterator[CandidateRead | CandidateRecord]:
        """What the worker has settled of a class; then, if it needs more, the candidates behind that."""
        records = next((result.records[wnid] for result in self._results if wnid in result.records), ())
        settled = [record for record in takewhile(lambda record: record is not None, records) if record]
        yield from settled
        by_key = {record.candidate: record for record in records if record}
        load = (lambda _: by_key) if records else self._load_records
        yield from islice(iter_candidates(self._job.source, 0, wnid, load), len(settled), None)
