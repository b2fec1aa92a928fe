"""Collecting without a web: what each candidate comes to is given, and a test decides in which order it is known."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from imagenet_nk.collect.fetching.candidate_read import CandidateRead
from imagenet_nk.collect.fetching.inspector import ImageInfo
from imagenet_nk.collect.fetching.ledger_rows import Attempt
from imagenet_nk.collect.progress import Progress
from imagenet_nk.collect.scheduling.acceptance import is_near_duplicate
from imagenet_nk.collect.scheduling.class_quota import ClassQuota
from imagenet_nk.collect.scheduling.scheduler import Scheduler
from imagenet_nk.config import CrossClassDuplicates, HttpConfig, InspectConfig
from imagenet_nk.dataset.records import CandidateRecord
from imagenet_nk.net.connectivity import ConnectivityMonitor
from imagenet_nk.net.host_table import HostTable
from imagenet_nk.reasons import Rejected
from imagenet_nk.sources.contract import Candidate, FetchedImage
from imagenet_nk.sources.none import NoSource


@dataclass(frozen=True)
class Truth:
    """What a candidate would come to. content, pixels and look as in Fact; reason "" = a valid image."""

    image_id: str
    reason: str = ""
    content: int = 0
    pixels: int = 0
    look: int = 0
    url: str = ""


@dataclass
class World:
    """Candidates of each class in draw order."""

    classes: dict[str, list[Truth]]
    quota: int | None = 2
    repeats: int = 2
    near_bits: int | None = None
    drop_shared: bool = False


class Settler:
    """A Reader that knows everything already; `pick` says which of those in flight ends next."""

    slow_threshold = 1.0

    def __init__(self, world: World, limit: int, pick: Callable[[int], int]) -> None:
        self._world, self._limit, self._pick = world, limit, pick
        self.connectivity = ConnectivityMonitor(HttpConfig())
        self._in_flight: list[CandidateRead] = []
        self.started: list[Candidate] = []

    @property
    def has_capacity(self) -> bool:
        return len(self._in_flight) < self._limit

    def start(self, read: CandidateRead, existing_ids: Collection[str]) -> None:
        self.started.append(read.candidate)
        self._in_flight.append(read)

    def poll(self, timeout: float) -> list[CandidateRead]:
        if not self._in_flight:
            return []
        read = self._in_flight.pop(self._pick(len(self._in_flight)) % len(self._in_flight))
        truth = self._world.classes[read.candidate.wnid][int(read.candidate.key)]
        if truth.reason:
            read.verdict = Rejected(truth.reason)
            return [read]
        read.image, read.size = FetchedImage(truth.image_id, b""), 1
        sha256 = f"{truth.content:016x}" + "0" * 48
        read.verdict = ImageInfo("JPEG", 64, 64, "RGB", sha256, truth.pixels, truth.look)
        return [read]


@dataclass
class Noted:
    """Where a Ledger would be."""

    attempts: list[Attempt] = field(default_factory=list)

    def record(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)


def record(wnid: str, index: int, truth: Truth) -> CandidateRecord:
    """What is on record of a candidate."""
    key, url = str(index), truth.url or f"x://{wnid}/{index}"
    if truth.reason:
        return CandidateRecord(key, truth.image_id, truth.reason, url)
    file = f"{truth.image_id}.jpg"
    return CandidateRecord(key, truth.image_id, "", url, file, truth.content, truth.pixels, truth.look)


def candidates(
    world: World, wnid: str, is_settled: Callable[[str, int], bool]
) -> Iterator[CandidateRead | CandidateRecord]:
    for index, truth in enumerate(world.classes[wnid]):
        settled = record(wnid, index, truth)
        read = CandidateRead(Candidate(settled.key, wnid, settled.url), NoSource(), 0, index)
        yield settled if is_settled(wnid, index) else read


def collect(
    world: World,
    limit: int,
    pick: Callable[[int], int],
    is_settled: Callable[[str, int], bool] = lambda *_: False,
    hosts: HostTable | None = None,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> tuple[dict[str, list[str]], Settler]:
    """Verdicts of each class as far as its draw order was walked, and the reader with what was started."""
    quotas = [ClassQuota(wnid, world.quota, candidates(world, wnid, is_settled)) for wnid in world.classes]
    settler = Settler(world, limit, pick)
    Scheduler(
        quotas,
        reader=settler,  # type: ignore[arg-type]
        hosts=hosts or HostTable(HttpConfig()),
        ledger=Noted(),  # type: ignore[arg-type]
        inspect=inspection(world),
    ).run(watch)
    return {quota.wnid: quota.selection.verdicts for quota in quotas}, settler


def inspection(world: World) -> InspectConfig:
    return InspectConfig(
        placeholder_repeats=world.repeats,
        near_duplicate_bits=world.near_bits,
        cross_class_duplicates=CrossClassDuplicates.drop if world.drop_shared else CrossClassDuplicates.report,
    )


def by_definition(world: World) -> dict[str, list[str]]:
    """The same verdicts by brute force: everything is known, and all is walked until no rule changes any more."""
    placeholders: set[int] = set()
    shared: set[int] = set()
    while True:
        selected = {wnid: select(world, truths, placeholders, shared) for wnid, truths in world.classes.items()}
        addresses: dict[int, set[str]] = {}
        owners: dict[int, set[str]] = {}
        for wnid, verdicts in selected.items():
            for index, truth in enumerate(world.classes[wnid][: len(verdicts)]):
                if not truth.reason and verdicts[index] != "redrawn":
                    addresses.setdefault(truth.content, set()).add(truth.url or f"x://{wnid}/{index}")
                    owners.setdefault(truth.pixels, set()).add(wnid)
        now = {content for content, urls in addresses.items() if len(urls) >= world.repeats}
        both = {pixels for pixels, wnids in owners.items() if len(wnids) > 1} if world.drop_shared else set()
        if now <= placeholders and both <= shared:
            return selected
        placeholders |= now
        shared |= both


def select(world: World, truths: list[Truth], placeholders: set[int], shared: set[int]) -> list[str]:
    verdicts: list[str] = []
    before: list[Truth] = []
    for truth in truths:
        if world.quota is not None and verdicts.count("") >= world.quota:
            break
        if truth.reason:
            verdicts.append(truth.reason)
            continue
        if any(truth.image_id == other.image_id for other in before):
            verdicts.append("redrawn")
        elif truth.content in placeholders:
            verdicts.append("placeholder")
        elif any(truth.content == other.content or truth.pixels == other.pixels for other in before):
            verdicts.append("duplicate")
        elif truth.pixels in shared:
            verdicts.append("shared")
        elif world.near_bits is not None and is_near_duplicate(
            truth.look, [other.look for other in before], world.near_bits
        ):
            verdicts.append("near_duplicate")
        else:
            verdicts.append("")
        before.append(truth)
    return verdicts


def seeded(seed: int) -> Callable[[int], int]:
    generator = random.Random(seed)
    return lambda count: generator.randrange(count)
