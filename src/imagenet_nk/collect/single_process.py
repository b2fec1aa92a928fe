"""Collecting in this process: one collector over all classes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial

from imagenet_nk.collect.factory import build_scheduler, iter_candidates
from imagenet_nk.collect.fetching.work_item import QueuedCandidate
from imagenet_nk.collect.job import Job, ProgressCallback
from imagenet_nk.collect.open_sources import open_fallback, warn_fallback_unbounded
from imagenet_nk.collect.progress import Progress
from imagenet_nk.collect.scheduling.acceptance import AcceptanceRules
from imagenet_nk.collect.scheduling.class_quota import ClassQuota
from imagenet_nk.dataset.dataset import DataSet
from imagenet_nk.dataset.records import CandidateRecord
from imagenet_nk.net.host_table import HostTable


class LocalRun:
    """All classes of a job. `first_is_open`: whether the source could be opened; else all comes from the fallback."""

    def __init__(
        self,
        job: Job,
        dataset: DataSet,
        *,
        first_is_open: bool,
        since: float = math.inf,
        fallback_is_open: bool = False,
    ) -> None:
        """`since`: rows of the ledger with a higher id are of this very run, which asks nothing twice."""
        self._job, self._dataset, self.first_is_open, self._since = job, dataset, first_is_open, since
        self._fallback_is_open = fallback_is_open
        self.hosts = HostTable(job.http)
        self.complete = True  # False: a fallback was needed and could not be used
        wanted = dataset.state.target_of(job.nk)
        self.walks: Sequence[ClassQuota] = [
            ClassQuota(wnid, wanted(wnid), self._candidates(0, wnid) if first_is_open else iter(()))
            for wnid in job.label_map.wnids
        ]
        self._collector, self._reader = build_scheduler(
            self.walks,
            hosts=self.hosts,
            inspect=job.inspect,
            store=dataset.store,
            ledger=dataset.ledger,
            rules=AcceptanceRules(job.inspect.near_duplicate_bits),
            hosts_allowed=job.source.traits.hosts_allowed(),
            threads=dataset.store.writers,
        )

    @property
    def progress(self) -> Progress:
        return self._collector.progress

    @property
    def has_answers(self) -> bool:
        """Whether any host answered, or none was asked."""
        return self.hosts.any_answered

    @property
    def hosts_asked(self) -> int:
        return len(self.hosts.table)

    @property
    def files_lost(self) -> int:
        """Image files of earlier runs that were not there, or not whole."""
        return self._dataset.records.missing_files

    @property
    def cut_off(self) -> bool:
        """Whether it ended because nothing on the web answered any more."""
        return self._collector.cut_off

    def run(self, watch: ProgressCallback) -> None:
        """Fill from the source, then what is short from the fallback."""
        job, dataset = self._job, self._dataset
        self._collector.run(watch)
        if (short := self._short()) and not self.cut_off:
            self.complete = self._fallback_is_open or open_fallback(job, dataset, alone=not self.first_is_open)
            if self.complete and self.first_is_open:
                warn_fallback_unbounded(job, [quota.wnid for quota in short if math.isinf(quota.target)])
        # A class that was full may lose an image to what the fallback shows, and want more in its turn.
        while (
            self.complete
            and not self.cut_off
            and (short := [quota for quota in self._short() if quota.source_count == 1])
        ):
            for quota in short:
                quota.extend(self._candidates(1, quota.wnid))
            self._collector.run(watch)

    def close(self) -> None:
        self._reader.close()

    def _short(self) -> Sequence[ClassQuota]:
        """The classes that want the fallback."""
        return [quota for quota in self.walks if quota.lacks_images]

    def _candidates(self, rank: int, wnid: str) -> Iterator[tuple[QueuedCandidate, CandidateRecord | None]]:
        records = partial(self._dataset.records.load, wnid, self._job.retry, self._since)
        return iter_candidates(self._job.sources[rank], rank, wnid, records)
