"""What goes to a worker, and what comes back."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from imagenet_nk.collect.job import Job
from imagenet_nk.config.collecting import HttpConfig
from imagenet_nk.dataset.ledger import Attempt, CandidateKey
from imagenet_nk.dataset.records import CandidateRecord
from imagenet_nk.engine.local import Local
from imagenet_nk.storage import files

Records = Mapping[CandidateKey, CandidateRecord]


@dataclass(frozen=True)
class WorkerSpec:
    """The same for all workers of a run."""

    job: bytes  # pickled, its sources not open
    cwd: str  # of the driver: paths in the settings may be relative to it

    @classmethod
    def of(cls, job: Job, workers: int) -> WorkerSpec:
        """The job with the worker's share of every limit. `job`: before its sources are open."""
        own = replace(
            job,
            http=share_of_limits(job.http, workers),
            engine=Local(1),
            folder=_absolute(job.folder),
            local=_absolute(job.home),
        )
        return cls(pickle.dumps(own), str(Path.cwd()))


@dataclass(frozen=True)
class Shard:
    """Some classes of a run, with what is settled of them."""

    spec: WorkerSpec
    rank: int  # 0 = collect from the source, 1 = from the fallback
    targets: Mapping[str, int | None]  # images wanted, by class; None = all that there are
    records: Mapping[str, Records]  # by class


class Shards(Sequence[Shard]):
    """The shards of a run. Each is made when a try of it starts, so a second try goes on where the first ended."""

    def __init__(self, wnids: Sequence[str], count: int, make: Callable[[Sequence[str]], Shard]) -> None:
        """`make`: the shard of some classes."""
        self.wnids = [wnids[first::count] for first in range(count)]
        self._make = make

    def __len__(self) -> int:
        return len(self.wnids)

    def __getitem__(self, number: int) -> Shard:  # type: ignore[override] # no slices
        return self._make(self.wnids[number])


@dataclass(frozen=True)
class WorkerReport:
    """What has happened since the last report, and how far the shard is."""

    rows: list[Attempt]  # of attempts that ended
    warnings: list[str]
    done: int  # classes
    kept: int
    images: int
    bytes: int
    requests: int
    reasons: Mapping[str, int]
    slow_hosts: Sequence[tuple[str, int, float]]  # name, requests, seconds in all


@dataclass(frozen=True)
class ShardResult:
    """How the collection of a shard ended."""

    has_answers: bool  # whether any host answered, or none was asked
    hosts: int  # that were asked
    cut_off: bool  # it ended because nothing on the web answered any more


def share_of_limits(http: HttpConfig, workers: int) -> HttpConfig:
    """The limits of one of several workers: together they keep those of the run, if there are at most `per_host`."""
    return replace(
        http,
        concurrency=max(1, http.concurrency // workers),
        per_host=max(1, http.per_host // workers),
        max_buffered_bytes=max(1, http.max_buffered_bytes // workers),
        per_host_rate=None if http.per_host_rate is None else http.per_host_rate / workers,
        host_rates={host: rate / workers for host, rate in http.host_rates.items()},
    )


def _absolute(path: Path) -> Path:
    return path if files.is_remote(path) else path.absolute()
