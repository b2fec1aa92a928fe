"""A worker's side: the ordinary scheduler over the classes of a shard, which reports to the driver as it goes."""

from __future__ import annotations

import contextlib
import logging
import pickle
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from warnings import filterwarnings

from imagenet_nk.collect.distributed.shard import Shard, ShardResult, WorkerReport
from imagenet_nk.collect.factory import build_scheduler, iter_candidates
from imagenet_nk.collect.job import Job
from imagenet_nk.collect.progress import Progress
from imagenet_nk.collect.scheduling.acceptance import AcceptanceRules
from imagenet_nk.collect.scheduling.class_quota import ClassQuota
from imagenet_nk.dataset.ledger import Attempt
from imagenet_nk.dataset.object_store import open_store
from imagenet_nk.engine.contract import Channel
from imagenet_nk.net.host_table import HostTable
from imagenet_nk.sources.contract import Source
from imagenet_nk.storage import files

_SLOW_HOSTS = 3  # that a report names


def collect_shard(shard: Shard, channel: Channel) -> ShardResult:
    """The task: collect the classes of a shard from one source. Raises what a run in one process raises."""
    filterwarnings("ignore", module=r"PIL\.")  # broken metadata of images; this process is the program's own
    with contextlib.ExitStack() as stack:
        if Path(shard.spec.cwd).is_dir():
            stack.enter_context(contextlib.chdir(shard.spec.cwd))
        job: Job = pickle.loads(shard.spec.job)  # noqa: S301 - the driver's own
        warnings, hosts = stack.enter_context(collected_warnings()), HostTable(job.http)
        attempts = AttemptBuffer(hosts)
        source = stack.enter_context(_open(job, shard.rank))
        warnings.drain()  # the driver has opened the source before, and logged the same
        store = open_store(job.folder)
        scheduler, reader = build_scheduler(
            [
                ClassQuota(
                    wnid, target, iter_candidates(source, shard.rank, wnid, partial(shard.records.__getitem__, wnid))
                )
                for wnid, target in shard.targets.items()
            ],
            hosts=hosts,
            inspect=job.inspect,
            store=store,
            ledger=attempts,
            rules=AcceptanceRules(job.inspect.near_duplicate_bits),
            hosts_allowed=source.traits.hosts_allowed(),
            threads=store.writers if files.is_remote(job.folder) else 1,
        )
        stack.callback(reader.close)
        scheduler.run(lambda progress: channel.send(_report(progress, attempts, warnings, hosts)))
        asked = sum(1 for host in hosts.table.values() if host.requests)
        return ShardResult(hosts.any_answered, asked, scheduler.cut_off)


class AttemptBuffer:
    """Takes attempts in the place of a ledger, until they are sent to the driver's.

    Until a first host answers, a failure to connect may be this worker's own: it stays open, and the driver asks again.
    """

    def __init__(self, hosts: HostTable) -> None:
        self._hosts, self._has_answers = hosts, False
        self._rows: list[Attempt] = []

    def record(self, attempt: Attempt) -> None:
        if attempt.transient and not attempt.status and not self._has_answers:
            self._has_answers = self._hosts.any_answered
            attempt = attempt if self._has_answers else attempt._replace(final=0)
        self._rows.append(attempt)

    def drain(self) -> list[Attempt]:
        """The rows since the last call."""
        rows, self._rows = self._rows, []
        return rows


class WarningBuffer(logging.Handler):
    """Keeps the warnings of this process, each once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._pending: dict[str, None] = {}
        self._sent: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if (text := record.getMessage()) not in self._sent:
            self._pending[text] = None

    def drain(self) -> list[str]:
        """The warnings since the last call."""
        texts = list(self._pending)
        self._pending.clear()
        self._sent.update(texts)
        return texts


@contextlib.contextmanager
def collected_warnings() -> Iterator[WarningBuffer]:
    """The warnings that this package logs within the block."""
    forwarder = WarningBuffer()
    logging.getLogger("imagenet_nk").addHandler(forwarder)
    try:
        yield forwarder
    finally:
        logging.getLogger("imagenet_nk").removeHandler(forwarder)


@contextlib.contextmanager
def _open(job: Job, rank: int) -> Iterator[Source]:
    """The source or the fallback, open, over the index that the driver has left on disk."""
    source = job.sources[rank]
    source.open(job.label_map.wnids, job.source_context)
    try:
        yield source
    finally:
        source.close()


def _report(progress: Progress, attempts: AttemptBuffer, warnings: WarningBuffer, hosts: HostTable) -> WorkerReport:
    return WorkerReport(
        attempts.drain(),
        warnings.drain(),
        progress.done,
        progress.kept,
        progress.images,
        progress.bytes,
        progress.requests,
        dict(progress.reasons),
        [(name, hosts.get(name).requests, hosts.get(name).seconds) for name, _ in hosts.slowest(_SLOW_HOSTS)],
    )
