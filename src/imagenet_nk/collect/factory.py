"""The parts of a collection put together: the same for a run in one process and for a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from imagenet_nk.collect.fetching.candidate_read import CandidateRead, Records
from imagenet_nk.collect.fetching.candidate_reader import Reader
from imagenet_nk.collect.fetching.inspector import Inspector
from imagenet_nk.collect.scheduling.class_quota import ClassQuota
from imagenet_nk.collect.scheduling.scheduler import Scheduler
from imagenet_nk.config.collecting import InspectConfig
from imagenet_nk.dataset.image_store import ImageStore
from imagenet_nk.dataset.ledger import AttemptSink, CandidateKey
from imagenet_nk.dataset.records import CandidateRecord
from imagenet_nk.net.congestion import CongestionWindow
from imagenet_nk.net.curl_transport import MAX_BUFFERED_BYTES, CurlTransport
from imagenet_nk.net.host_table import HostTable
from imagenet_nk.sources.contract import Source


def build_scheduler(
    quotas: Sequence[ClassQuota],
    *,
    hosts: HostTable,
    inspect: InspectConfig,
    store: ImageStore,
    ledger: AttemptSink,
    hosts_allowed: frozenset[str],
    threads: int,
    local_workers: int = 1,
) -> tuple[Scheduler, Reader]:
    """A scheduler over classes, and its reader, which the caller closes.

    `threads`: that decode and write; `local_workers`: on this machine, which share the memory for bodies.
    """
    transport = CurlTransport(hosts.http, hosts_allowed, MAX_BUFFERED_BYTES // local_workers)
    reader = Reader(transport, hosts, CongestionWindow(hosts.http), Inspector(inspect), store, threads)
    return Scheduler(quotas, reader=reader, hosts=hosts, ledger=ledger, inspect=inspect), reader


def iter_candidates(
    source: Source, rank: int, wnid: str, records_of: Callable[[str], Records]
) -> Iterator[CandidateRead | CandidateRecord]:
    """The candidates of a class from one source, in draw order, as records where they are settled.

    `records_of`: the records of a class, called when the first candidate is drawn.
    """
    records = records_of(wnid)
    for number, candidate in enumerate(source.candidates(wnid)):
        draw = number if candidate.draw is None else candidate.draw
        yield records.get(CandidateKey(source.name, rank, candidate.key)) or CandidateRead(
            candidate, source, rank, draw
        )
