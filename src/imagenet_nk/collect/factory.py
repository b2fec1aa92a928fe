"""The parts of a collector, put together: the same for a whole run in one process and for a worker's share of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from imagenet_nk.collect.fetching.candidate_reader import Reader
from imagenet_nk.collect.fetching.inspector import Inspector
from imagenet_nk.collect.fetching.work_item import QueuedCandidate
from imagenet_nk.collect.scheduling.acceptance import AcceptanceRules
from imagenet_nk.collect.scheduling.class_quota import ClassQuota
from imagenet_nk.collect.scheduling.cross_class import CrossClassIndex
from imagenet_nk.collect.scheduling.scheduler import Scheduler
from imagenet_nk.config.collecting import CrossClassDuplicates, InspectConfig
from imagenet_nk.dataset.image_store import ImageStore
from imagenet_nk.dataset.ledger import AttemptSink, CandidateKey
from imagenet_nk.dataset.records import CandidateRecord
from imagenet_nk.net.congestion import CongestionWindow
from imagenet_nk.net.curl_transport import CurlTransport
from imagenet_nk.net.host_table import HostTable
from imagenet_nk.sources.contract import Source

Records = Mapping[CandidateKey, CandidateRecord]


def build_scheduler(
    fills: Sequence[ClassQuota],
    *,
    hosts: HostTable,
    inspect: InspectConfig,
    store: ImageStore,
    ledger: AttemptSink,
    rules: AcceptanceRules,
    hosts_allowed: frozenset[str],
    threads: int,
) -> tuple[Scheduler, Reader]:
    """A collector over classes, and its reader, to be closed. `threads`: that decode and write."""
    transport = CurlTransport(hosts.http, hosts_allowed)
    reader = Reader(transport, hosts, CongestionWindow(hosts.http), Inspector(inspect), store, threads)
    collector = Scheduler(
        fills,
        reader=reader,
        hosts=hosts,
        ledger=ledger,
        rules=rules,
        repeats=CrossClassIndex(inspect.placeholder_repeats),
        drop_shared=inspect.cross_class_duplicates == CrossClassDuplicates.drop,
    )
    return collector, reader


def iter_candidates(
    source: Source, rank: int, wnid: str, facts: Callable[[], Records]
) -> Iterator[tuple[QueuedCandidate, CandidateRecord | None]]:
    """The candidates of a class from one source, in draw order, with what is settled of them; looked up when drawn."""
    known = facts()
    for draw, candidate in enumerate(source.candidates(wnid)):
        number = draw if candidate.draw is None else candidate.draw
        record = known.get(CandidateKey(source.name, rank, candidate.key))
        yield QueuedCandidate(candidate, source, rank, number), record
