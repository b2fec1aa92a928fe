"""A worker: the ordinary scheduler over the classes of a shard, which reports to the driver as it goes."""

from __future__ import annotations

import contextlib
import logging
import pickle
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from warnings import filterwarnings

from imagenet_nk.collect.distributed.shard import Shard, ShardResult, WorkerReport
from imagenet_nk.collect.factory import build_scheduler, iter_candidates
from imagenet_nk.collect.job import Job
from imagenet_nk.collect.progress import Progress
from imagenet_nk.collect.scheduling.class_quota import ClassQuota
from imagenet_nk.dataset.ledger import Attempt
from imagenet_nk.dataset.object_store import open_store
from imagenet_nk.dataset.records import CandidateRecord
from imagenet_nk.engine.contract import Channel
from imagenet_nk.net.host_table import HostTable
from imagenet_nk.sources.contract import Source
from imagenet_nk.storage import files

_SLOW_HOSTS = 3  # that a report names
_MAX_RECORDS = 100_000  # of a shard that are sent at its end; the driver reads more than that from the ledger


def collect_shard(shard: Shard, channel: Channel) -> ShardResult:
    """The task: collect the classes of a shard from one source. Raises what a run in one process raises."""
    filterwarnings("ignore", module=r"PIL\.")  # broken metadata of images; this process is the program's own
    with contextlib.ExitStack() as stack:
        if Path(shard.spec.cwd).is_dir():
            stack.enter_context(contextlib.chdir(shard.spec.cwd))
        job: Job = pickle.loads(shard.spec.job)  # noqa: S301 - the driver's own
        warnings, hosts = stack.enter_context(collected_warnings()), HostTable(job.http)
        reporter = Reporter(shard.attempt, channel, hosts, warnings)
        stack.callback(reporter.send_last)
        source = stack.enter_context(_open(job, shard.rank))
        warnings.drain()  # the driver has opened the source and logged the same
        store = open_store(job.folder)
        quotas = [
            ClassQuota(wnid, target, iter_candidates(source, shard.rank, wnid, shard.records.__getitem__))
            for wnid, target in shard.targets.items()
        ]
        scheduler, reader = build_scheduler(
            quotas,
            hosts=hosts,
            inspect=job.inspect,
            store=store,
            ledger=reporter,
            hosts_allowed=source.traits.hosts_allowed(),
            threads=store.writers if files.is_remote(job.folder) else 1,
            local_workers=shard.spec.local_workers,
        )
        stack.callback(reader.close)
        scheduler.run(reporter.send)
        pauses = hosts.long_pauses(time.monotonic())
        return ShardResult(
            _records(quotas, reporter.unconfirmed),
            hosts.any_answered,
            hosts.requested_hosts,
            scheduler.is_cut_off,
            pauses,
        )


def _records(
    quotas: Sequence[ClassQuota], unconfirmed: set[tuple[str, str]]
) -> Mapping[str, Sequence[CandidateRecord | None]]:
    if sum(len(quota.records) for quota in quotas) > _MAX_RECORDS:
        return {}
    return {
        quota.wnid: [None if record and (quota.wnid, record.key) in unconfirmed else record for record in quota.records]
        for quota in quotas
    }


class Reporter:
    """Collects attempts in place of a ledger, and sends them to the driver with warnings and counts.

    Until a first host answers, a connection failure may be this worker's own: the candidate stays open.
    """

    def __init__(self, attempt: int, channel: Channel, hosts: HostTable, warnings: WarningBuffer) -> None:
        self._attempt, self._channel, self._hosts, self._warnings = attempt, channel, hosts, warnings
        self._has_answers = False
        self.unconfirmed: set[tuple[str, str]] = set()  # (wnid, key) of candidates that stay open
        self._rows: list[Attempt] = []
        self._progress = Progress(0, hosts)

    def record(self, attempt: Attempt) -> None:
        """Take the row of an attempt."""
        if attempt.transient and not attempt.status and not self._has_answers:
            self._has_answers = self._hosts.any_answered
            if not self._has_answers:
                self.unconfirmed.add((attempt.wnid, attempt.key))
                attempt = attempt._replace(final=0)
        self._rows.append(attempt)

    def send(self, progress: Progress) -> None:
        """Send a report."""
        self._progress = progress
        rows, self._rows = self._rows, []
        slowest = {name: self._hosts.get(name) for name, _ in self._hosts.slowest(_SLOW_HOSTS)}
        snapshot = replace(progress, hosts=HostTable(self._hosts.http, slowest), reasons=progress.reasons.copy())
        self._channel.send(WorkerReport(self._attempt, rows, self._warnings.drain(), snapshot))

    def send_last(self) -> None:
        """Send what has come since the last report, however the shard ended."""
        self.send(self._progress)


class WarningBuffer(logging.Handler):
    """Collects the warnings of this process, each once. Thread-safe."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._pending: list[str] = []
        self._texts: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:  # logging holds the handler's lock
        if not self.contains(text := record.getMessage()):
            self._texts.add(text)
            self._pending.append(text)

    def contains(self, text: str) -> bool:
        """Whether a warning has been logged here."""
        return text in self._texts

    @contextlib.contextmanager
    def without_repetitions(self) -> Iterator[None]:
        """Within the block no handler of the root logger gets a warning that was logged before it."""
        before = frozenset(self._texts)
        handlers = list(logging.getLogger().handlers)

        def is_new(record: logging.LogRecord) -> bool:
            return record.getMessage() not in before

        for handler in handlers:
            handler.addFilter(is_new)
        try:
            yield
        finally:
            for handler in handlers:
                handler.removeFilter(is_new)

    def drain(self) -> list[str]:
        """The warnings since the last call."""
        self.acquire()
        try:
            pending, self._pending = self._pending, []
        finally:
            self.release()
        return pending


@contextlib.contextmanager
def collected_warnings() -> Iterator[WarningBuffer]:
    """The warnings that this package logs within the block."""
    buffer = WarningBuffer()
    logging.getLogger("imagenet_nk").addHandler(buffer)
    try:
        yield buffer
    finally:
        logging.getLogger("imagenet_nk").removeHandler(buffer)


@contextlib.contextmanager
def _open(job: Job, rank: int) -> Iterator[Source]:
    """The source or the fallback, open, over the index that the driver has left on disk."""
    source = job.sources[rank]
    source.open(job.label_map.wnids, job.source_context)
    try:
        yield source
    finally:
        source.close()
