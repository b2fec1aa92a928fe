"""`plan=true`: what a command would do, as far as it can be known without doing it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from imagenet_nk.collect.job import Job
from imagenet_nk.config import Materialize, Retry
from imagenet_nk.dataset.dataset import DataSet
from imagenet_nk.dataset.folder_layout import LEDGER
from imagenet_nk.errors import SourceError
from imagenet_nk.sources.contract import UNLISTED_KEY, Candidate
from imagenet_nk.wording import first_few

# Assumed until the data set's own ledger knows better; said to be so.
_DEFAULT_BYTES = 110_000  # an image of ILSVRC2012, on average
_DEFAULT_SECONDS = 0.5  # a request
_MIN_ATTEMPTS = 100  # attempts on record that are enough for an estimate
_MAX_COUNTED = 5_000  # candidates of a class that are counted at most
_POSITION_SOURCES = frozenset({"archive", "hub"})  # a draw is a position: not counted further than needed


@dataclass(frozen=True)
class CostEstimate:
    """Success rate, size and time of a candidate, by earlier attempts on this data set or by default."""

    success: float
    bytes: float
    seconds: float
    measured: bool


def describe(job: Job, stages: list[str], backbone: str) -> Iterator[str]:
    """The lines of the plan. Opens the source, so a remote list is fetched and indexed; no image is."""
    existing, estimate = _estimate(job)
    classes = len(job.label_map)
    yield f"stages      {', '.join(stages)}"
    labels = job.label_map.labels
    yield f"classes     {classes}, labels {labels[0]} to {labels[-1]} ({job.label_map.order})"
    candidates, empty_classes = _candidates(job)
    yield f"candidates  {candidates:,} in source={job.source.name}{empty_classes}"
    wanted = candidates if job.nk is None else job.nk * classes
    missing = max(0, wanted - existing)
    yield f"images      {wanted:,} wanted, {existing:,} present, {missing:,} to collect"
    how = "as on record for this data set" if estimate.measured else "assumed"
    cost = job.source.traits.cost
    if cost.requests:
        requests = missing / estimate.success * cost.requests
        seconds = requests * estimate.seconds / job.http.concurrency
        detail = f"{cost.requests:.1f} for each candidate, of which {estimate.success:.0%} give an image"
        yield f"requests    about {requests:,.0f} ({detail}, {how})"
        detail = f"{estimate.seconds:.1f} s each, {how}"
        yield f"time        about {max(1, seconds):,.0f} s for them, if the connection keeps up ({detail})"
    if job.source.materialize == Materialize.copy:
        size = missing * estimate.bytes
        detail = f"{estimate.bytes / 1e3:.0f} kB each, {how}"
        yield f"bytes       about {size / 1e9:,.2f} GB ({detail})"
        if cost.bytes > 1:
            suffix = f"{cost.bytes:.1f} times as much: the bytes between the images are fetched too"
            yield f"fetched     about {size * cost.bytes / 1e9:,.2f} GB ({suffix})"
    if "centers" in stages:
        yield f"backbone    {backbone}: {wanted:,} forward passes"
    yield f"folder      {job.folder}"


def _estimate(job: Job) -> tuple[int, CostEstimate]:
    """Images that are there, and what the ledger has seen. Leaves no folder behind where there was none."""
    if not (job.home / LEDGER).is_file():
        return 0, CostEstimate(job.source.traits.cost.success, _DEFAULT_BYTES, _DEFAULT_SECONDS, measured=False)
    dataset = DataSet(job.folder, job.home)
    try:
        dataset.state.check_draw(job.draw_settings)
        valid = {
            wnid: sum(not f.reason for f in dataset.records.load(wnid, Retry.none).values()) for wnid in job.label_map
        }
        attempts, images, size, seconds = dataset.ledger.totals()
    finally:
        dataset.close()
    existing = sum(count if job.nk is None else min(count, job.nk) for count in valid.values())
    if attempts < _MIN_ATTEMPTS or not images:
        return existing, CostEstimate(job.source.traits.cost.success, _DEFAULT_BYTES, _DEFAULT_SECONDS, measured=False)
    return existing, CostEstimate(images / attempts, size / images, seconds / attempts, measured=True)


def _candidates(job: Job) -> tuple[int, str]:
    """How many candidates the source has, and which classes have none."""
    if files := job.source.traits.downloads():
        fetched = ", ".join(f"{name} ({size / 1e9:.1f} GB)" for name, size in files)
        return 0, f" (it would fetch {fetched} first)"
    try:
        job.source.open(job.label_map.wnids, job.source_context)
        most = job.nk if job.nk and job.source.name in _POSITION_SOURCES else _MAX_COUNTED
        counts = {wnid: _count_candidates(job.source.candidates(wnid), most) for wnid in job.label_map}
    except SourceError as error:
        return 0, f" (it cannot be opened: {error}; fallback={job.fallback.name} would be asked)"
    finally:
        job.source.close()
    empty_classes = [wnid for wnid, count in counts.items() if not count]
    suffix = " or more" if any(count == most for count in counts.values()) else ""
    return sum(counts.values()), suffix + (
        f"; {len(empty_classes)} classes have none: {first_few(empty_classes, 3)}" if empty_classes else ""
    )


def _count_candidates(candidates: Iterable[Candidate], most: int) -> int:
    return sum(not candidate.key.endswith(UNLISTED_KEY) for candidate in islice(candidates, most))
