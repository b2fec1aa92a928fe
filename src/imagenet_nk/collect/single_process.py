"""Collecting in this process: one collector over all classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from imagenet_nk.collect.factory import build_scheduler, iter_candidates
from imagenet_nk.collect.job import Job, ProgressCallback
from imagenet_nk.collect.open_sources import open_fallback, warn_of_all
from imagenet_nk.collect.progress import Progress
from imagenet_nk.collect.scheduling.acceptance import AcceptanceRules
from imagenet_nk.collect.scheduling.class_quota import ClassQuota
from imagenet_nk.dataset.dataset import DataSet
from imagenet_nk.net.host_table import HostTable


class LocalRun:
    """All classes of a job. `first_is_open`: whether the source could be opened; else all comes from the fallback."""

    def __init__(self, job: Job, dataset: DataSet, *, first_is_open: bool) -> None:
        self._job, self._dataset, self.first_is_open = job, dataset, first_is_open
        self.hosts = HostTable(job.http)
        self.complete = True  # False: a fallback was needed and could not be used
        wanted = dataset.wanted(job.nk)
        self.walks: Sequence[ClassQuota] = [ClassQuota(wnid, wanted(wnid), iter(())) for wnid in job.label_map.wnids]
        if first_is_open:
            self.walks = [
                ClassQuota(
                    wnid, wanted(wnid), iter_candidates(job.source, 0, wnid, partial(dataset.facts, wnid, job.retry))
                )
                for wnid in job.label_map.wnids
            ]
        self._collector, self._reader = build_scheduler(
            self.walks,
            hosts=self.hosts,
            inspect=job.inspect,
            store=dataset.store,
            ledger=dataset.ledger,
            rules=AcceptanceRules(job.inspect.near_duplicate_bits),
            hosts_allowed=getattr(job.source, "hosts_allowed", frozenset()),
            threads=dataset.store.writers,
        )

    @property
    def progress(self) -> Progress:
        return self._collector.progress

    @property
    def files_lost(self) -> int:
        """Image files of earlier runs that were not there, or not whole."""
        return sum(self._dataset.lost.values())

    @property
    def cut_off(self) -> bool:
        """Whether it ended because nothing on the web answered any more."""
        return self._collector.cut_off

    def run(self, watch: ProgressCallback) -> None:
        """Fill from the source, then what is short from the fallback."""
        job, dataset = self._job, self._dataset
        self._collector.run(watch)
        if (short := self._short()) and not self.cut_off:
            self.complete = open_fallback(job, dataset, alone=not self.first_is_open)
            if self.complete and self.first_is_open:
                warn_of_all(job, [fill.wnid for fill in short if math.isinf(fill.quota)])
        # A class that was full may lose an image to what the fallback shows, and want more in its turn.
        while self.complete and not self.cut_off and (short := [fill for fill in self._short() if fill.ranks == 1]):
            for fill in short:
                fill.extend(iter_candidates(job.fallback, 1, fill.wnid, partial(dataset.facts, fill.wnid, job.retry)))
            self._collector.run(watch)

    def close(self) -> None:
        self._reader.close()

    def _short(self) -> Sequence[ClassQuota]:
        """The classes that want the fallback."""
        return [fill for fill in self.walks if fill.short]
