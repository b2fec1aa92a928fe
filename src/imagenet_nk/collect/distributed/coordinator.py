"""The driver's side of collecting over an engine: one answer to each report, and everything that all workers share.

    report: attempts that ended, classes that are through, what hosts did, permits wanted    -> exchange()
    orders: classes to take on, permits, hosts set aside, placeholders that others found      <-

A worker runs the ordinary Collector over the classes that it was dealt. Here are the ledger, the hosts' limits and
failures (permits.py), the classes (dealing.py) and the count of what crosses them (walked.py). A report costs the same
whatever it carries, and rows are passed on as they are, so the driver's work grows with workers and rows only.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from imagenet_nk.collect.distributed import class_result
from imagenet_nk.collect.distributed.class_queue import Dealing
from imagenet_nk.collect.distributed.class_result import Walk, words
from imagenet_nk.collect.distributed.permit_pool import Permits
from imagenet_nk.collect.distributed.protocol import Hand, Orders, Report, Tally
from imagenet_nk.collect.progress import Progress
from imagenet_nk.config import CrossClassDuplicates, HttpConfig, InspectConfig
from imagenet_nk.dataset.ledger_writer import Values
from imagenet_nk.dataset.table_rows import Target
from imagenet_nk.net.connectivity import remember
from imagenet_nk.net.host_table import HostTable

log = logging.getLogger(__name__)

_AGAIN_S = 0.1  # between two reports of a worker
_SOONER = 5  # times, for a worker that was given something: it may have room for more
_WORKERS_AT_ONCE = 200  # from so many workers on they report less often: each report is a millisecond or less


class Rows(Protocol):
    """What the desk needs of a Ledger."""

    def record_rows(self, rows: Sequence[Values]) -> None: ...

    def flush(self) -> None: ...

    def settled(self, wnid: str) -> Iterable[Any]: ...


class CollectDesk:
    """A Desk. `wanted`: images of each class. `draw_on`: given the classes that came out short when all are through,
    says which of them go on with the fallback; none ends the run."""

    def __init__(
        self,
        wnids: Sequence[str],
        ledger: Rows,
        http: HttpConfig,
        inspect: InspectConfig,
        *,
        workers: int,
        wanted: Target,
        ranks: tuple[int, ...] = (0,),
        draw_on: Callable[[Sequence[str]], Sequence[str]] = lambda _: (),
    ) -> None:
        self.hosts = HostTable(http)
        self.dealing = Dealing(wnids, workers, ranks)
        self._ledger, self._inspect, self._draw_on = ledger, inspect, draw_on
        self._permits = Permits(self.hosts)
        self._again_s = _AGAIN_S * max(1.0, workers / _WORKERS_AT_ONCE)
        self._wanted = wanted
        counts = [wanted(wnid) for wnid in wnids]
        self._in_all = None if None in counts else sum(filter(None, counts))
        self._placeholders: list[int] = []  # in the order in which they became known
        self._shared: list[int] = []
        self._rules: tuple[set[int], set[int]] = set(), set()  # the same
        self._told: dict[str, tuple[int, int]] = {}  # how many of both a worker knows
        self._tallies: dict[str, Tally] = {}
        self._gone: set[str] = set()
        self._said: set[str] = set()
        self._witnesses: OrderedDict[str, str] = OrderedDict()  # addresses by host, of those that have answered
        self.stopping = False
        self.cut_off = False  # a worker found that nothing on the web answered any more

    # --- the contract of a Desk

    def exchange(self, worker: str, report: Report) -> Orders:
        """Take in a report; raises DatasetError if the ledger cannot be written."""
        now = time.monotonic()
        self._say(report.said)
        if report.rows:
            self._ledger.record_rows(report.rows)
        if worker in self._gone:  # it was only out of reach; others have its classes
            return Orders(stop=True)
        self._tallies[worker] = report.tally
        self._through(worker, report.walks)
        self._know(report.placeholders, report.shared)
        self._permits.learn(report.seen, now)
        self._permits.take_back(worker, report.returned)
        if report.witness:
            remember(self._witnesses, *report.witness)
        if report.cut_off:
            self.cut_off = self.stopping = True
        if self.dealing.quiet and not self.stopping:
            self._all_through()
        return self._orders(worker, report, now)

    def lost(self, worker: str) -> None:
        self._gone.add(worker)
        self.dealing.lost(worker)
        self._permits.lost(worker)
        if tally := self._tallies.get(worker):
            tally.kept = 0

    # --- for the driver

    def stop(self) -> None:
        """Let all workers end with their next report."""
        self.stopping = True

    @property
    def progress(self) -> Progress:
        """Over all workers."""
        tallies = self._tallies.values()
        return Progress(
            classes=len(self.dealing.ranks),
            hosts=self.hosts,
            wanted=self._in_all,
            done=len(self.dealing.walks),
            kept=self.dealing.kept + sum(tally.kept for tally in tallies),
            images=sum(tally.images for tally in tallies),
            bytes=sum(tally.bytes for tally in tallies),
            requests=sum(tally.requests for tally in tallies),
            reasons=sum((tally.reasons for tally in tallies), Counter[str]()),
        )

    @property
    def files_lost(self) -> int:
        """Image files of earlier runs that were not there, or not whole."""
        return sum(tally.lost for tally in self._tallies.values())

    # ---

    def _say(self, said: Iterable[str]) -> None:
        """Workers' warnings in the driver's log; what several of them have met, once."""
        for text in said:
            if text not in self._said:
                self._said.add(text)
                log.warning("%s", text)

    def _through(self, worker: str, walks: Sequence[Walk]) -> None:
        """Take in classes that a worker is through with, by the rules that it knew."""
        placeholders, shared = self._told.get(worker, (0, 0))
        news = words(self._placeholders[placeholders:]), words(self._shared[shared:])
        for walk in walks:
            self.dealing.through(worker, walk, stale=walk.touched_by(*news))

    def _know(self, placeholders: Iterable[int], shared: Iterable[int]) -> None:
        """Let the rules grow, and send the classes back that they touch."""
        fresh = set(placeholders) - self._rules[0], set(shared) - self._rules[1]
        self._placeholders += fresh[0]
        self._shared += fresh[1]
        self._rules[0].update(fresh[0])
        self._rules[1].update(fresh[1])
        self.dealing.again(*fresh)

    def _all_through(self) -> None:
        """Count over all classes; then let the short ones draw on; stop when neither leaves anything to do."""
        walks = list(self.dealing.walks.values())
        drop = self._inspect.cross_class_duplicates == CrossClassDuplicates.drop
        repeated = class_result.placeholders(walks, self._inspect.placeholder_repeats)
        self._know(repeated, class_result.shared(walks) if drop else ())
        if self.dealing.quiet:
            self.dealing.draw_on(self._draw_on([walk.wnid for walk in walks if walk.short]))
        self.stopping = self.dealing.quiet

    def _orders(self, worker: str, report: Report, now: float) -> Orders:
        placeholders, shared = self._told.get(worker, (0, 0))
        self._told[worker] = len(self._placeholders), len(self._shared)
        hands = () if self.stopping else self._hands(worker, report.room)
        return Orders(
            hands=hands,
            placeholders=self._placeholders[placeholders:],
            shared=self._shared[shared:],
            hosts=self._permits.orders(worker, report.wanted, now),
            witnesses={} if report.witness else dict(self._witnesses),
            again_s=self._again_s / _SOONER if hands else self._again_s,
            stop=self.stopping,
        )

    def _hands(self, worker: str, room: int) -> list[Hand]:
        wnids = self.dealing.deal(worker, room) if room > 0 else []
        if any([self.dealing.known(wnid) for wnid in wnids]):  # noqa: C419 - all of them are noted
            self._ledger.flush()
        return [
            Hand(
                wnid, self._wanted(wnid), self.dealing.ranks[wnid], [_plain(row) for row in self._ledger.settled(wnid)]
            )
            for wnid in wnids
        ]


def _plain(row: Any) -> Mapping[str, Any]:
    """A row of the ledger as far as it says what a candidate came to."""
    return {name: row[name] for name in _TO_WORKERS}


_TO_WORKERS = (
    "id", "source", "rank", "key", "url", "image_id", "reason", "transient", "bytes", "sha256", "pixels", "look",
    "format", "path", "verdict",
)  # fmt: skip
