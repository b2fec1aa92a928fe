"""Collecting over an engine: a map over shards of classes, then the ordinary run over what they recorded.

Workers collect the shards, and the driver writes what they report into its ledger. Then it runs over all classes, as a
run in one process that continues an earlier one: it finds nearly everything settled, counts what crosses classes, and
asks for the few images that classes lose by that, or that only the fallback has. So the result is that of one process.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from functools import partial

from imagenet_nk.collect import interrupts
from imagenet_nk.collect.distributed.shard import Shard, ShardResult, Shards, WorkerReport, WorkerSpec
from imagenet_nk.collect.distributed.worker import collect_shard, collected_warnings
from imagenet_nk.collect.job import Job, ProgressCallback
from imagenet_nk.collect.open_sources import open_fallback
from imagenet_nk.collect.progress import Progress
from imagenet_nk.collect.recorded import select_recorded
from imagenet_nk.collect.scheduling.class_quota import ClassQuota
from imagenet_nk.collect.single_process import LocalRun
from imagenet_nk.dataset.dataset import DataSet
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
        self._target = dataset.state.target_of(job.nk)
        self._reports: dict[int, WorkerReport] = {}  # the last one of each shard
        self._totals = Progress(len(job.label_map), HostTable(job.http), self._wanted())  # of tries that ended
        self._results: dict[int, ShardResult] = {}
        self._warnings: dict[str, None] = {}  # of workers, each once
        self._after: LocalRun | None = None  # the run over what the shards recorded

    @property
    def progress(self) -> Progress:
        """Over all workers, and the run after them."""
        parts = list(self._reports.values())
        progress = Progress(
            classes=len(self._job.label_map),
            hosts=self._totals.hosts,
            wanted=self._totals.wanted,
            done=sum(part.done for part in parts),
            kept=sum(part.kept for part in parts),
            images=self._totals.images + sum(part.images for part in parts),
            bytes=self._totals.bytes + sum(part.bytes for part in parts),
            requests=self._totals.requests + sum(part.requests for part in parts),
            reasons=sum((Counter(part.reasons) for part in parts), self._totals.reasons.copy()),
        )
        return progress if self._after is None else _added(progress, self._after.progress)

    @property
    def has_answers(self) -> bool:
        """Whether any host answered, or none was asked."""
        shards = [result.has_answers for result in self._results.values() if result.hosts]
        return any(shards) or not shards

    @property
    def hosts_asked(self) -> int:
        """Hosts that were asked, at most: several workers may have asked the same."""
        return max((result.hosts for result in self._results.values()), default=0)

    @property
    def complete(self) -> bool:
        """False: a fallback was needed and could not be used."""
        return self._after is None or self._after.complete

    @property
    def files_lost(self) -> int:
        """Image files of earlier runs that were not there, or not complete."""
        return self._dataset.records.missing_files

    @property
    def cut_off(self) -> bool:
        """Whether it ended because nothing on the web answered any more."""
        return any(result.cut_off for result in self._results.values()) or bool(self._after and self._after.cut_off)

    @property
    def walks(self) -> Sequence[ClassQuota]:
        """The classes, as far as they were collected."""
        if self._after is not None:
            return self._after.walks
        self._dataset.ledger.flush()
        return select_recorded(self._dataset, self._job.label_map.wnids, self._target, self._job.inspect)

    def run(self, watch: ProgressCallback) -> None:
        """Collect the shards, then complete the classes in this process."""
        if not self.first_is_open:
            open_fallback(self._job, self._dataset, alone=True)
        with collected_warnings() as logged:
            try:
                self._map(watch)
                if self.has_answers and not self.cut_off:
                    self._complete(watch)
            finally:  # what this process meets as well is in its log already
                seen = set(logged.drain())
                for text in self._warnings:
                    if text not in seen:
                        log.warning("%s", text)

    def _complete(self, watch: ProgressCallback) -> None:
        """Run over all classes, as a run in one process does that continues what the shards recorded."""
        self._dataset.ledger.flush()
        self._dataset.store.refresh()
        self._after = LocalRun(
            self._job,
            self._dataset,
            first_is_open=self.first_is_open,
            since=self._since,
            fallback_is_open=not self.first_is_open,
        )
        self._after.run(lambda _: watch(self.progress))

    def close(self) -> None:
        if self._after is not None:
            self._after.close()

    def _map(self, watch: ProgressCallback) -> None:
        shards = Shards(self._job.label_map.wnids, self._workers, self._shard)
        with interrupts.defer_sigint() as raise_if_interrupted:

            def tick() -> None:
                raise_if_interrupted()
                watch(self.progress)

            results = self._job.engine.map(
                collect_shard, shards, workers=self._workers, on_report=self._on_report, tick=tick
            )
            for number, result in results:
                self._results[number] = result

    def _shard(self, wnids: Sequence[str]) -> Shard:
        self._dataset.ledger.flush()  # what a worker reported that died is settled for the next try
        self._dataset.store.refresh()
        records = partial(self._dataset.records.load, retry=self._job.retry, since=self._since)
        return Shard(
            self._spec,
            0 if self.first_is_open else 1,
            {wnid: self._target(wnid) for wnid in wnids},
            {wnid: records(wnid) for wnid in wnids},
        )

    def _on_report(self, shard: int, report: WorkerReport) -> None:
        self._dataset.ledger.record_many(report.rows)
        before = self._reports.get(shard)
        if before is not None and report.requests < before.requests:  # another try of the shard, which counts anew
            self._totals = _added(self._totals, before)
        self._reports[shard] = report
        for name, requests, seconds in report.slow_hosts:
            host = self._totals.hosts.get(name)
            host.requests, host.seconds = requests, seconds
        self._warnings |= dict.fromkeys(report.warnings)

    def _wanted(self) -> int | None:
        """Images of all classes; None = as many as there are."""
        counts = [self._target(wnid) for wnid in self._job.label_map.wnids]
        return None if None in counts else sum(filter(None, counts))


def _added(progress: Progress, more: Progress | WorkerReport) -> Progress:
    """Counts of requests add up; classes and images kept are those of whichever has more."""
    return Progress(
        progress.classes,
        progress.hosts,
        progress.wanted,
        max(progress.done, more.done),
        max(progress.kept, more.kept),
        progress.images + more.images,
        progress.bytes + more.bytes,
        progress.requests + more.requests,
        progress.reasons + Counter(more.reasons),
    )
