"""Stage `collect`: fill every class from the source, then from the fallback, and leave the data set behind."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imagenet_nk import storage
from imagenet_nk.classes import LabelMap
from imagenet_nk.collect.collector import Collector, Progress
from imagenet_nk.collect.dataset import DataSet, Summary, Tables
from imagenet_nk.collect.fill import Drawn, Fact, Fill, Rules
from imagenet_nk.collect.hosts import Hosts, Pace
from imagenet_nk.collect.inspection import Inspector
from imagenet_nk.collect.metadata import OutOfReachError
from imagenet_nk.collect.reading import Reader
from imagenet_nk.collect.repeats import Repeats
from imagenet_nk.collect.transport import CurlTransport
from imagenet_nk.config import CrossClass, HttpConfig, InspectConfig, Materialize, Retry
from imagenet_nk.engine.base import Engine
from imagenet_nk.engine.local import Local
from imagenet_nk.errors import DatasetError, SourceError
from imagenet_nk.lock import alone
from imagenet_nk.sampling import Sampling, Split
from imagenet_nk.sources.base import Site, Source

log = logging.getLogger(__name__)

LOCK = ".lock"  # of a data set folder
Watch = Callable[[Progress], None]  # called five times a second while candidates are asked


def _nobody(progress: Progress) -> None:
    """Nobody watches."""


_JUDGED_BY = (
    "min_side",
    "max_pixels",
    "placeholder_urls",
)  # of inspect.*: what settles an image for good


@dataclass(frozen=True)
class Job:
    """What is to be collected, how, and where to."""

    source: Source
    fallback: Source
    sampling: Sampling
    split: Split
    label_map: LabelMap
    nk: int | None
    folder: Path
    http: HttpConfig
    inspect: InspectConfig
    retry: Retry
    fingerprint: str  # of all settings that the outcome depends on; the same again = nothing to do
    engine: Engine = field(default_factory=lambda: Local(1))
    local: Path | None = None  # for ledger, lock and indexes, where `folder` is a URL

    @property
    def home(self) -> Path:
        """The folder of this machine for what cannot lie in an object store."""
        return self.local or self.folder

    @property
    def site(self) -> Site:
        return Site(self.home / "index", self.http, self.sampling)

    @property
    def draw(self) -> dict[str, object]:
        """What the candidates' order and verdicts depend on, as far as it is known before the source is open."""
        judged = {f"inspect.{name}": getattr(self.inspect, name) for name in _JUDGED_BY}
        return {
            "seed": self.sampling.seed,
            "sampling": self.sampling.identity,
            "source": self.source.name,
            **judged,
        }

    @property
    def chain(self) -> tuple[Source, Source]:
        return self.source, self.fallback

    @property
    def tables(self) -> Tables:
        return Tables(self.label_map, self.nk, self.split, self.materialize)

    @property
    def materialize(self) -> dict[str, Materialize]:
        return {source.name: source.materialize for source in reversed(self.chain)}


def collect(job: Job, watch: Watch = _nobody) -> Summary:
    """Have nk images of every class in the folder, as far as the sources have them; only what is missing is fetched.

    Raises DatasetError or SourceError. Interrupted at any instant, the same call goes on from there.
    """
    if storage.is_remote(job.folder) and Materialize.link in job.materialize.values():
        raise DatasetError(f"{job.folder} can hold no links; type source.materialize=copy, or none")
    with alone(job.home / LOCK):
        dataset = DataSet(job.folder, job.home)
        try:
            return _collect(job, dataset, watch)
        finally:
            dataset.close()


def _collect(job: Job, dataset: DataSet, watch: Watch) -> Summary:
    started = time.monotonic()
    dataset.check(job.draw)
    if job.retry == Retry.none and dataset.is_done(job.fingerprint, job.label_map.wnids):
        summary = dataset.write_tables(job.tables)
        log.info("%s is there already: %d images of %d classes", job.folder, summary.kept, summary.classes)
        return summary
    dataset.ask(job.label_map.wnids, job.nk, job.materialize)
    try:
        fills = _fill(job, dataset, _open_first(job, dataset), watch)
    finally:
        for source in job.chain:
            source.close()
    summary = dataset.finish(fills, job.fingerprint, job.tables)
    dataset.write_terms([source.terms for source in job.chain if source.name in summary.sources] or [job.source.terms])
    _report(summary, time.monotonic() - started)
    return summary


def _open_first(job: Job, dataset: DataSet) -> bool:
    """Open the source. False, and a line that says why, if it is out of reach but there is a fallback to go on with.

    Not in a folder that was begun with the source: its images would all be replaced.
    """
    try:
        job.source.open(job.label_map.wnids, job.site)
    except OutOfReachError as error:
        if job.fallback.name == "none":
            raise
        if dataset.begun:
            raise SourceError(
                f"{error}; {job.folder} was begun with it, so make it reachable again, or type dataset.dir=ANOTHER"
            ) from error
        log.warning("%s; going on with fallback=%s", error, job.fallback.name)
        return False
    return True


def _open_fallback(job: Job, *, alone: bool) -> bool:
    """Open the fallback. What it cannot fill stays short; only where it stands alone is its failure an error."""
    try:
        job.fallback.open(job.label_map.wnids, job.site)
    except SourceError as error:
        if alone:
            raise SourceError(
                f"neither source={job.source.name} nor fallback={job.fallback.name} can be used ({error}); "
                f"type source.list=FILE for a list, or source=full source.root=FOLDER for images that you have"
            ) from error
        log.warning("fallback=%s cannot be used: %s", job.fallback.name, error)
        return False
    return True


def _fill(job: Job, dataset: DataSet, first_is_open: bool, watch: Watch) -> list[Fill]:
    fills = [
        Fill(wnid, job.nk, _candidates(job, dataset, 0, wnid) if first_is_open else iter(()))
        for wnid in job.label_map.wnids
    ]
    if first_is_open:
        dataset.claim({**job.draw, "identity": job.source.identity})
        dataset.write_terms([job.source.terms])  # at once: images may outlive a run that is stopped
    hosts = Hosts(job.http)
    reader = Reader(
        CurlTransport(job.http, getattr(job.source, "hosts_allowed", frozenset())),
        hosts,
        Pace(job.http),
        Inspector(job.inspect),
        dataset.store,
        workers=dataset.store.writers,
    )
    collector = Collector(
        fills,
        reader=reader,
        hosts=hosts,
        ledger=dataset.ledger,
        rules=Rules(job.inspect.near_duplicate),
        repeats=Repeats(job.inspect.placeholder_repeats),
        drop_shared=job.inspect.cross_class == CrossClass.drop,
    )
    looking = _Watch(dataset, watch)
    try:
        _run_to_the_end(job, dataset, collector, fills, first_is_open, looking)
    except KeyboardInterrupt:
        dataset.finish(fills, "", job.tables)
        raise
    finally:
        reader.close()
        dataset.ledger.flush()
    if not hosts.answered:
        dataset.ledger.forget_unanswered()
        commonest = collector.progress.reasons.most_common(1)[0][0]
        raise SourceError(
            f"none of {len(hosts.table)} hosts answered (mostly {commonest}): is this machine connected? "
            f"Nothing was held against the candidates; run it again"
        )
    return fills


def _run_to_the_end(
    job: Job, dataset: DataSet, collector: Collector, fills: Sequence[Fill], first_is_open: bool, watch: Watch
) -> None:
    """Fill from the source, then what is short from the fallback."""
    collector.run(watch)
    if not _short(fills, job.nk, first_is_open) or not _open_fallback(job, alone=not first_is_open):
        return
    dataset.claim(job.draw)
    # A class that was full may lose an image to what the fallback shows, and want more in its turn.
    while short := [fill for fill in _short(fills, job.nk, first_is_open) if fill.ranks == 1]:
        for fill in short:
            fill.extend(_candidates(job, dataset, 1, fill.wnid))
        collector.run(watch)


def _short(fills: Sequence[Fill], nk: int | None, first_is_open: bool) -> list[Fill]:
    """The classes that want the fallback. With nk=null a source that could be read has given all that there is."""
    return [] if nk is None and first_is_open else [fill for fill in fills if not fill.full]


def _candidates(job: Job, dataset: DataSet, rank: int, wnid: str) -> Iterator[tuple[Drawn, Fact | None]]:
    source, facts = job.chain[rank], dataset.facts(wnid, job.retry)
    for draw, candidate in enumerate(source.candidates(wnid)):
        number = draw if candidate.draw is None else candidate.draw
        yield Drawn(candidate, source, rank, number), facts.get((source.name, rank, candidate.key))


class _Watch:
    """Keeps an eye on the disk, and passes on how far things are."""

    def __init__(self, dataset: DataSet, watch: Watch) -> None:
        self._dataset, self._watch = dataset, watch
        self._looked = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._looked > 1:
            self._looked = now
            if self._dataset.store.room() < 0:
                raise DatasetError(
                    f"the disk of {self._dataset.folder} is full: free some space, then run the same command again"
                )
        self._watch(progress)


def _report(summary: Summary, seconds: float) -> None:
    log.info(
        "kept %d of %d candidates tried, %d classes, %.0f s; rejected: %s",
        summary.kept,
        summary.tried,
        summary.classes,
        seconds,
        ", ".join(f"{reason} {count}" for reason, count in summary.reasons.items()) or "none",
    )
    if len(summary.sources) > 1:
        log.info("by source: %s", ", ".join(f"{name} {count}" for name, count in summary.sources.items()))
    if summary.shared:
        log.info("%d kept images show the same pixels as one of another class", summary.shared)
    if forbidden := summary.reasons.get("forbidden"):
        log.warning("%d addresses lead to private networks; http.allow_private=true lets them through", forbidden)
    if summary.short:
        shown = ", ".join(summary.short[:5]) + (", ..." if len(summary.short) > 5 else "")
        log.warning("%d classes are short of images (see classes.csv): %s", len(summary.short), shown)
