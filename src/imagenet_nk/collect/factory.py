"""The parts of a collector, put together: the same for a whole run in one process and for a worker's share of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from imagenet_nk.collect.fetching.candidate_reader import Reader
from imagenet_nk.collect.fetching.inspector import Inspector
from imagenet_nk.collect.fetching.work_item import Drawn
from imagenet_nk.collect.scheduling.acceptance import Rules
from imagenet_nk.collect.scheduling.class_quota import Fill
from imagenet_nk.collect.scheduling.cross_class import Repeats
from imagenet_nk.collect.scheduling.scheduler import Collector
from imagenet_nk.config import CrossClass, InspectConfig
from imagenet_nk.dataset.image_store import Store
from imagenet_nk.dataset.ledger import Records
from imagenet_nk.dataset.records import Fact
from imagenet_nk.net.congestion import Pace
from imagenet_nk.net.curl_transport import CurlTransport
from imagenet_nk.net.host_table import Hosts
from imagenet_nk.sources.contract import Source

Facts = Mapping[tuple[str, int, str], Fact]  # by (source, rank, key)


def assemble(
    fills: Sequence[Fill],
    *,
    hosts: Hosts,
    inspect: InspectConfig,
    store: Store,
    ledger: Records,
    rules: Rules,
    hosts_allowed: frozenset[str],
    threads: int,
    tick_s: float = 0.2,
) -> tuple[Collector, Reader]:
    """A collector over classes, and its reader, to be closed. `threads`: that decode and write."""
    transport = CurlTransport(hosts.http, hosts_allowed)
    reader = Reader(transport, hosts, Pace(hosts.http), Inspector(inspect), store, threads)
    collector = Collector(
        fills,
        reader=reader,
        hosts=hosts,
        ledger=ledger,
        rules=rules,
        repeats=Repeats(inspect.placeholder_repeats),
        drop_shared=inspect.cross_class == CrossClass.drop,
        tick_s=tick_s,
    )
    return collector, reader


def drawn(source: Source, rank: int, wnid: str, facts: Callable[[], Facts]) -> Iterator[tuple[Drawn, Fact | None]]:
    """The candidates of a class from one source, in draw order, with what is settled of them; looked up when drawn."""
    known = facts()
    for draw, candidate in enumerate(source.candidates(wnid)):
        number = draw if candidate.draw is None else candidate.draw
        yield Drawn(candidate, source, rank, number), known.get((source.name, rank, candidate.key))
