"""The messages between the driver and the workers of a collection."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from imagenet_nk.collect.fetching.candidate_read import Records
from imagenet_nk.collect.job import Job
from imagenet_nk.collect.progress import Progress
from imagenet_nk.config.collecting import HttpConfig
from imagenet_nk.dataset.ledger import Attempt
from imagenet_nk.dataset.records import CandidateRecord
from imagenet_nk.engine.local import Local
from imagenet_nk.net.host_table import LongPause
from imagenet_nk.storage import files


@dataclass(frozen=True)
class WorkerSpec:
    """What is the same for all workers of a run."""

    job: bytes  # pickled, its sources not open
    cwd: str  # of the driver: paths in the settings may be relative to it
    local_workers: int = 1  # on one machine

    @classmethod
    def of(cls, job: Job, workers: int) -> WorkerSpec:
        """The job with a worker's share of every limit. The sources of `job` must not be open yet."""
        worker_job = replace(
            job,
            http=share_of_limits(job.http, workers),
            engine=Local(1),
            folder=_absolute(job.folder),
            local=_absolute(job.home),
        )
        local_workers = workers if job.engine.is_local else 1
        return cls(pickle.dumps(worker_job), str(Path.cwd()), local_workers)


@dataclass(frozen=True)
class Shard:
    """Some classes of a run, with the records of their settled candidates."""

    spec: WorkerSpec
    attempt: int  # from 1; a shard whose worker dies is started again
    rank: int  # 0 = collect from the source, 1 = from the fallback
    targets: Mapping[str, int | None]  # images wanted, by class; None = as many as possible
    records: Mapping[str, Records]  # by class


class Shards(Sequence[Shard]):
    """The shards of a run. Each is built when an attempt starts, so that a second one goes on where the first ended."""

    def __init__(self, wnids: Sequence[str], count: int, build: Callable[[Sequence[str], int], Shard]) -> None:
        """`build`: makes the shard of some classes; it gets the number of the attempt as well."""
        self.wnids = [wnids[first::count] for first in range(count)]
        self._build = build
        self._attempts = Counter[int]()

    def __len__(self) -> int:
        return len(self.wnids)

    def __getitem__(self, number: int) -> Shard:  # type: ignore[override] # no slices
        self._attempts[number] += 1
        return self._build(self.wnids[number], self._attempts[number])


@dataclass(frozen=True)
class WorkerReport:
    """What has happened since the last report, and how far the attempt is."""

    attempt: int
    rows: list[Attempt]  # for the ledger
    warnings: list[str]
    progress: Progress  # of the attempt, with the slowest hosts only


@dataclass(frozen=True)
class ShardResult:
    """How the collection of a shard ended."""

    records: Mapping[
        str, Sequence[CandidateRecord | None]
    ]  # by class, in draw order, None = not settled; {} = too many
    has_answers: bool  # whether any host answered, or none got a request
    hosts: int  # that got a request
    is_cut_off: bool  # it ended because nothing on the web answered any more
    long_pauses: Sequence[LongPause]


def share_of_limits(http: HttpConfig, workers: int) -> HttpConfig:
    """The limits of one of several workers. They add up to those of the run if there are at most `per_host`."""
    return replace(
        http,
        concurrency=max(1, http.concurrency // workers),
        per_host=max(1, http.per_host // workers),
        host_rates={host: rate / workers for host, rate in http.host_rates.items()},
    )


def _absolute(path: Path) -> Path:
    return path if files.is_remote(path) else path.absolute()
