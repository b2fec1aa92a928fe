"""Collecting in this process: one scheduler over all classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from imagenet_nk.collect.factory import build_scheduler, iter_candidates
from imagenet_nk.collect.fetching.candidate_read import CandidateRead
from imagenet_nk.collect.job import Job, ProgressCallback
from imagenet_nk.collect.open_sources import open_fallback, warn_fallback_unbounded
from imagenet_nk.collect.progress import Progress
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
        fallback_is_open: bool = False,
        candidates: Callable[[str], Iterator[CandidateRead | CandidateRecord]] | None = None,
    ) -> None:
        """`candidates`: of a class from the source; None = by the ledger and the source alone."""
        self._job, self._dataset, self.first_is_open = job, dataset, first_is_open
        self._fallback_is_open = fallback_is_open
        self.hosts = HostTable(job.http)
        self.is_complete = True  # False: a fallback was needed and could not be used
        target_of, candidates = dataset.state.target_of(job.nk), candidates or self._first_candidates
        self.quotas: Sequence[ClassQuota] = [
            ClassQuota(wnid, target_of(wnid), candidates(wnid) if first_is_open else iter(()))
            for wnid in job.label_map.wnids
        ]
        self._scheduler, self._reader = build_scheduler(
            self.quotas,
            hosts=self.hosts,
            inspect=job.inspect,
            store=dataset.store,
            ledger=dataset.ledger,
            hosts_allowed=job.source.traits.hosts_allowed(),
            threads=dataset.store.writers,
        )

    @property
    def progress(self) -> Progress:
        return self._scheduler.progress

    @property
    def has_answers(self) -> bool:
        """Whether any host answered, or none got a request."""
        return self.hosts.any_answered

    @property
    def hosts_requested(self) -> int:
        return self.hosts.requested_hosts

    @property
    def is_cut_off(self) -> bool:
        """Whether it ended because nothing on the web answered any more."""
        return self._scheduler.is_cut_off

    def run(self, watch: ProgressCallback) -> None:
        """Fill the classes from the source, then those that lack images from the fallback."""
        job, dataset = self._job, self._dataset
        self._scheduler.run(watch)
        if (short := self._short()) and not self.is_cut_off:
            self.is_complete = self._fallback_is_open or open_fallback(job, dataset, is_required=not self.first_is_open)
            if self.is_complete and self.first_is_open:
                warn_fallback_unbounded(job, [quota.wnid for quota in short if math.isinf(quota.target)])
        # A class that was full may lose an image because of what the fallback gives, and need the fallback as well.
        while (
            self.is_complete
            and not self.is_cut_off
            and (short := [quota for quota in self._short() if quota.source_count == 1])
        ):
            for quota in short:
                quota.add_fallback(self._candidates(1, quota.wnid))
            self._scheduler.run(watch)

    def close(self) -> None:
        self._reader.close()

    def _short(self) -> Sequence[ClassQuota]:
        """The classes that need the fallback."""
        return [quota for quota in self.quotas if quota.lacks_images]

    def _first_candidates(self, wnid: str) -> Iterator[CandidateRead | CandidateRecord]:
        return self._candidates(0, wnid)

    def _candidates(self, rank: int, wnid: str) -> Iterator[CandidateRead | CandidateRecord]:
        return iter_candidates(
            self._job.sources[rank], rank, wnid, lambda wnid: self._dataset.records.load(wnid, self._job.retry)
        )
