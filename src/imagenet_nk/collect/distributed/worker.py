"""A worker's side of collecting over an engine: the ordinary Collector, over the classes that the desk deals to it."""

from __future__ import annotations

import contextlib
import logging
import pickle
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from imagenet_nk.collect.distributed.class_result import Walk
from imagenet_nk.collect.distributed.leased_host_table import LeasedHosts
from imagenet_nk.collect.distributed.protocol import Hand, Orders, Report, Tally
from imagenet_nk.collect.factory import Facts, build_scheduler, iter_candidates
from imagenet_nk.collect.fetching.work_item import QueuedCandidate
from imagenet_nk.collect.job import Job
from imagenet_nk.collect.progress import Progress
from imagenet_nk.collect.scheduling.acceptance import AcceptanceRules
from imagenet_nk.collect.scheduling.class_quota import ClassQuota
from imagenet_nk.dataset.ledger import Attempt, values
from imagenet_nk.dataset.ledger_writer import Values
from imagenet_nk.dataset.object_store import open_store
from imagenet_nk.dataset.records import CandidateRecord, known, lost
from imagenet_nk.engine.contract import Channel
from imagenet_nk.engine.local import Local
from imagenet_nk.sources.contract import Source
from imagenet_nk.storage import files

_TICK_S = 0.02
_SOONER = 5  # a permit that is missing is asked for so many times sooner than the next report is due
_LEAST_CLASSES, _MOST_CLASSES = 8, 128  # at hand
_CHOICE = 8  # images wanted at hand for a request in flight: among few classes, places at good hosts go to late draws


@dataclass(frozen=True)
class Spec:
    """What a worker is given to begin with; the same for all workers of a run."""

    job: bytes  # pickled, its sources not open
    since: int  # id of the ledger's last row before this run
    cwd: str  # of the driver: paths in the settings may be relative to it
    first_is_open: bool = True  # whether the source is there; else all comes from the fallback

    @classmethod
    def of(cls, job: Job, workers: int, since: int) -> Spec:
        """Each worker has its share of what is in flight, and of what is held in memory."""
        http = replace(
            job.http,
            concurrency=max(1, job.http.concurrency // workers),
            max_buffered_bytes=max(1, job.http.max_buffered_bytes // workers),
        )
        own = replace(job, http=http, engine=Local(1), folder=_absolute(job.folder), local=_absolute(job.home))
        return cls(pickle.dumps(own), since, str(Path.cwd()))


def _absolute(path: Path) -> Path:
    return path if files.is_remote(path) else path.absolute()


def collect_classes(spec: Spec, line: Channel) -> None:
    """The task: collect what is dealt until the desk says stop. Raises what a run in one process raises."""
    with contextlib.ExitStack() as stack:
        if Path(spec.cwd).is_dir():
            stack.enter_context(contextlib.chdir(spec.cwd))
        worker = _Worker(spec, line)
        stack.callback(worker.close)
        worker.run()


class _StoppedError(Exception):
    """The desk said stop."""


class _Outbox:
    """Where a Ledger would be: rows on their way to the driver's."""

    def __init__(self) -> None:
        self.rows: list[Values] = []

    def record(self, attempt: Attempt) -> None:
        self.rows.append(values(attempt))

    def take(self) -> list[Values]:
        rows, self.rows = self.rows, []
        return rows


class _Said(logging.Handler):
    """Warnings of this process, each once, on their way to the driver's log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.muted = False
        self._waiting: dict[str, None] = {}
        self._told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if not self.muted and (text := record.getMessage()) not in self._told:
            self._waiting[text] = None

    def take(self) -> list[str]:
        texts = list(self._waiting)
        self._waiting.clear()
        self._told.update(texts)
        return texts


class _Worker:
    def __init__(self, spec: Spec, line: Channel) -> None:
        self._line, self._spec = line, spec
        self._said = _Said()
        logging.getLogger("imagenet_nk").addHandler(self._said)
        self._job: Job = pickle.loads(spec.job)  # noqa: S301 - the driver's own
        self._open: dict[int, Source] = {}
        self._hosts, self._outbox = LeasedHosts(self._job.http), _Outbox()
        self._rules = AcceptanceRules(self._job.inspect.near_duplicate)
        self._told: tuple[set[int], set[int]] = set(), set()  # of the rules, what the desk knows
        self._store = open_store(self._job.folder)
        classes = _CHOICE * self._job.http.concurrency // (self._job.nk or self._job.http.concurrency)
        self._hand = min(_MOST_CLASSES, max(_LEAST_CLASSES, classes))
        self._lost: dict[str, int] = {}  # by class
        self._at_hand: dict[str, tuple[Hand, Facts]] = {}
        self._collector, self._reader = build_scheduler(
            [],
            hosts=self._hosts,
            inspect=self._job.inspect,
            store=self._store,
            ledger=self._outbox,
            rules=self._rules,
            hosts_allowed=getattr(self._source(0), "hosts_allowed", frozenset()) if spec.first_is_open else frozenset(),
            threads=self._store.writers if files.is_remote(self._job.folder) else 1,
            tick_s=_TICK_S,
        )
        self._reported, self._again_s = 0.0, 0.0

    def run(self) -> None:
        with contextlib.suppress(_StoppedError):
            self._collector.run(self._watch, stay=True)
            self._exchange(self._collector.progress, self._walks_so_far())  # it was cut off

    def close(self) -> None:
        logging.getLogger("imagenet_nk").removeHandler(self._said)
        self._reader.close()
        for source in self._open.values():
            source.close()

    def _source(self, rank: int) -> Source:
        """A source of the run, opened here when it is first drawn from; the driver has left its index on disk."""
        if rank not in self._open:
            source = self._job.chain[rank]
            self._said.muted = True  # the driver has opened it as well, and said what there was to say
            source.open(self._job.label_map.wnids, self._job.site)
            self._said.muted = False
            self._open[rank] = source
        return self._open[rank]

    # --- the talk with the desk

    def _watch(self, progress: Progress) -> None:
        since = time.monotonic() - self._reported
        if since < self._again_s and not (self._hosts.fresh and since >= self._again_s / _SOONER):
            return
        orders = self._exchange(progress, [Walk.of(fill) for fill in self._through()])
        self._collector.learn(orders.placeholders, orders.shared)
        self._collector.add([self._fill(hand) for hand in orders.hands])
        if orders.stop:
            self._exchange(progress, self._walks_so_far())
            raise _StoppedError

    def _walks_so_far(self) -> list[Walk]:
        return [Walk.of(fill) for fill in self._collector.drop()]

    def _exchange(self, progress: Progress, walks: Sequence[Walk]) -> Orders:
        for walk in walks:
            del self._at_hand[walk.wnid]
        kept = max(0, progress.kept - sum(walk.kept for walk in walks))  # the desk counts those
        fresh = self._rules.placeholders - self._told[0], self._rules.shared - self._told[1]
        report = Report(
            Tally(kept, progress.images, progress.bytes, progress.requests, progress.reasons, sum(self._lost.values())),
            self._outbox.take(),
            walks,
            list(fresh[0]),
            list(fresh[1]),
            self._hosts.seen(),
            self._hosts.wanted(),
            self._hosts.returned(),
            self._hand - len(self._at_hand),
            self._said.take(),
            self._collector.cut_off,
            self._reader.web.witness,
        )
        orders: Orders = self._line.exchange(report)
        self._told[0].update(fresh[0], orders.placeholders)
        self._told[1].update(fresh[1], orders.shared)
        self._hosts.obey(orders.hosts)
        self._reader.web.introduce(orders.witnesses)
        self._reported, self._again_s = time.monotonic(), orders.again_s
        return orders

    # --- classes

    def _fill(self, hand: Hand) -> ClassQuota:
        if any(row["id"] > self._spec.since for row in hand.rows):  # another worker has had it
            self._store.refresh()
        sizes = self._store.sizes(hand.wnid, alone=False) if hand.rows else {}
        facts = known(hand.rows, sizes, self._job.retry, self._spec.since)
        self._lost[hand.wnid] = lost(hand.rows, sizes, self._spec.since)
        self._at_hand[hand.wnid] = hand, facts
        candidates = self._drawn(0, hand.wnid, facts) if 0 in hand.ranks else iter(())
        return ClassQuota(hand.wnid, hand.wanted, candidates)

    def _drawn(self, rank: int, wnid: str, facts: Facts) -> Iterator[tuple[QueuedCandidate, CandidateRecord | None]]:
        return iter_candidates(self._source(rank), rank, wnid, lambda: facts)

    def _through(self) -> list[ClassQuota]:
        """The classes that are done, but for those that the fallback may fill."""
        through = []
        for fill in self._collector.release():
            hand, facts = self._at_hand[fill.wnid]
            if fill.full or fill.ranks > 1 or 1 not in hand.ranks:
                through.append(fill)
                continue
            fill.extend(self._drawn(1, fill.wnid, facts))
            self._collector.add([fill])
        return through
