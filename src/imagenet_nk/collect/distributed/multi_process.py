"""Collecting over an engine: workers that each run a collector, and a desk that deals them classes and permits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from imagenet_nk.collect import interrupts
from imagenet_nk.collect.distributed.class_result import Walk
from imagenet_nk.collect.distributed.coordinator import CollectDesk
from imagenet_nk.collect.distributed.worker import Spec, collect_classes
from imagenet_nk.collect.job import Job, ProgressCallback
from imagenet_nk.collect.open_sources import open_fallback, warn_of_all
from imagenet_nk.collect.progress import Progress
from imagenet_nk.dataset.dataset import DataSet
from imagenet_nk.net.host_table import HostTable


class DistributedRun:
    """All classes of a job. `first_is_open`: whether the source could be opened; else all comes from the fallback."""

    def __init__(self, job: Job, dataset: DataSet, spec: Spec, workers: int, *, first_is_open: bool) -> None:
        self._job, self._dataset, self._wanted = job, dataset, dataset.wanted(job.nk)
        self._spec, self._workers = replace(spec, first_is_open=first_is_open), workers
        if not first_is_open:
            open_fallback(job, dataset, alone=True)
        self.first_is_open, self._fallback_tried = first_is_open, not first_is_open
        self.complete = True  # False: a fallback was needed and could not be used
        self._desk = CollectDesk(
            job.label_map.wnids,
            dataset.ledger,
            job.http,
            job.inspect,
            workers=workers,
            wanted=self._wanted,
            ranks=(0,) if first_is_open else (1,),
            draw_on=self._draw_on,
        )

    @property
    def hosts(self) -> HostTable:
        return self._desk.hosts

    @property
    def progress(self) -> Progress:
        return self._desk.progress

    @property
    def files_lost(self) -> int:
        """Image files of earlier runs that were not there, or not whole."""
        return self._desk.files_lost

    @property
    def cut_off(self) -> bool:
        """Whether it ended because nothing on the web answered any more."""
        return self._desk.cut_off

    @property
    def walks(self) -> Sequence[Walk]:
        """Of the classes that workers are through with, or had begun when they were stopped."""
        return list(self._desk.dealing.walks.values())

    def run(self, watch: ProgressCallback) -> None:
        """Let the workers fill all classes. Ctrl-C stops them first, so that what they had begun can be settled."""
        with interrupts.defer_sigint() as raise_if_interrupted:

            def tick() -> None:
                try:
                    raise_if_interrupted()
                except KeyboardInterrupt:
                    self._desk.stop()
                watch(self._desk.progress)

            shards = [self._spec] * self._workers
            for _ in self._job.engine.map(collect_classes, shards, workers=self._workers, desk=self._desk, tick=tick):
                pass

    def close(self) -> None:
        """Nothing is open here."""

    def _draw_on(self, short: Sequence[str]) -> Sequence[str]:
        """The classes that go on with the fallback."""
        ranks = self._desk.dealing.ranks
        waiting = [wnid for wnid in short if 1 not in ranks[wnid]]
        if not waiting:
            return ()
        if not self._fallback_tried:
            self._fallback_tried = True
            self.complete = open_fallback(self._job, self._dataset, alone=False)
            if self.complete:
                warn_of_all(self._job, [wnid for wnid in waiting if self._wanted(wnid) is None])
        return waiting if self.complete else ()
