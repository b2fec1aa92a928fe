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
_USUAL_BYTES = 110_000  # an image of ILSVRC2012, on average
_USUAL_SECONDS = 0.5  # a request
_ENOUGH = 100  # attempts on record from which on they are believed
_COUNTED = 5_000  # candidates of a class that are counted at most
_ENDLESS = frozenset({"archive", "hub"})  # sources whose draws are positions: counted no further than they are wanted


@dataclass(frozen=True)
class CostEstimate:
    """What earlier attempts on this data set say about those to come."""

    success: float
    bytes: float
    seconds: float
    measured: bool


def describe(job: Job, stages: list[str], backbone: str) -> Iterator[str]:
    """The lines of the plan. Opens the source, so a remote list is fetched and indexed; no image is."""
    there, experience = _known(job)
    classes = len(job.label_map)
    yield f"stages      {', '.join(stages)}"
    labels = job.label_map.labels
    yield f"classes     {classes}, labels {labels[0]} to {labels[-1]} ({job.label_map.order})"
    candidates, without = _candidates(job)
    yield f"candidates  {candidates:,} in source={job.source.name}{without}"
    wanted = candidates if job.nk is None else job.nk * classes
    missing = max(0, wanted - there)
    yield f"images      {wanted:,} wanted, {there:,} there, {missing:,} to get"
    how = "as on record for this data set" if experience.measured else "assumed"
    usual = job.source.traits.cost
    if usual.requests:
        requests = missing / experience.success * usual.requests
        seconds = requests * experience.seconds / job.http.concurrency
        each = f"{usual.requests:.1f} for each candidate, of which {experience.success:.0%} give an image"
        yield f"requests    about {requests:,.0f} ({each}, {how})"
        each = f"{experience.seconds:.1f} s each, {how}"
        yield f"time        about {max(1, seconds):,.0f} s for them, if the wire keeps up ({each})"
    if job.source.materialize == Materialize.copy:
        size = missing * experience.bytes
        each = f"{experience.bytes / 1e3:.0f} kB each, {how}"
        yield f"bytes       about {size / 1e9:,.2f} GB ({each})"
        if usual.bytes > 1:
            more = f"{usual.bytes:.1f} times as much: what lies between the images comes along"
            yield f"fetched     about {size * usual.bytes / 1e9:,.2f} GB ({more})"
    if "centers" in stages:
        yield f"backbone    {backbone}: {wanted:,} forward passes"
    yield f"folder      {job.folder}"


def _known(job: Job) -> tuple[int, CostEstimate]:
    """Images that are there, and what the ledger has seen. Leaves no folder behind where there was none."""
    if not (job.home / LEDGER).is_file():
        return 0, CostEstimate(job.source.traits.cost.success, _USUAL_BYTES, _USUAL_SECONDS, measured=False)
    dataset = DataSet(job.folder, job.home)
    try:
        dataset.state.check_draw(job.draw_settings)
        valid = {
            wnid: sum(not f.reason for f in dataset.records.load(wnid, Retry.none).values()) for wnid in job.label_map
        }
        attempts, images, size, seconds = dataset.ledger.totals()
    finally:
        dataset.close()
    there = sum(count if job.nk is None else min(count, job.nk) for count in valid.values())
    if attempts < _ENOUGH or not images:
        return there, CostEstimate(job.source.traits.cost.success, _USUAL_BYTES, _USUAL_SECONDS, measured=False)
    return there, CostEstimate(images / attempts, size / images, seconds / attempts, measured=True)


def _candidates(job: Job) -> tuple[int, str]:
    """How many candidates the source has, and which classes have none."""
    if files := job.source.traits.downloads():
        fetched = ", ".join(f"{name} ({size / 1e9:.1f} GB)" for name, size in files)
        return 0, f" (it would fetch {fetched} first)"
    try:
        job.source.open(job.label_map.wnids, job.source_context)
        most = job.nk if job.nk and job.source.name in _ENDLESS else _COUNTED
        counts = {wnid: _counted(job.source.candidates(wnid), most) for wnid in job.label_map}
    except SourceError as error:
        return 0, f" (it cannot be opened: {error}; fallback={job.fallback.name} would be asked)"
    finally:
        job.source.close()
    without = [wnid for wnid, count in counts.items() if not count]
    more = " or more" if any(count == most for count in counts.values()) else ""
    return sum(counts.values()), more + (
        f"; {len(without)} classes have none: {first_few(without, 3)}" if without else ""
    )


def _counted(candidates: Iterable[Candidate], most: int) -> int:
    return sum(not candidate.key.endswith(UNLISTED_KEY) for candidate in islice(candidates, most))
