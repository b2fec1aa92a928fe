"""Opening the sources of a run, and going on with the other one where that is what the user wants."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from imagenet_nk.collect.job import Job
from imagenet_nk.dataset.dataset import DataSet
from imagenet_nk.errors import SourceError
from imagenet_nk.net.download import OutOfReachError
from imagenet_nk.wording import first_few, plural

log = logging.getLogger(__name__)


def open_first(job: Job, dataset: DataSet) -> bool:
    """Open the source, and make the folder its own. False, and a line that says why, if it is out of reach but there is
    a fallback to go on with.

    Not in a folder that was begun with the source: its images would all be replaced.
    """
    try:
        job.source.open(job.label_map.wnids, job.source_context)
    except OutOfReachError as error:
        if job.fallback.name == "none":
            raise
        if dataset.state.first_source_opened:
            raise SourceError(
                f"{error}; {job.folder} was begun with it, so make it reachable again, or type dataset.dir=ANOTHER"
            ) from error
        log.warning("%s; going on with fallback=%s", error, job.fallback.name)
        dataset.state.set_targets({})
        return False
    dataset.state.set_targets(_listed_counts(job))
    dataset.state.bind_to_draw({**job.draw_settings, "identity": job.source.identity})
    dataset.tables.write_terms([job.source.terms])  # at once: images may outlive a run that is stopped
    return True


def open_fallback(job: Job, dataset: DataSet, *, alone: bool) -> bool:
    """Open the fallback. What it cannot fill stays short; only where it stands alone is its failure an error.

    False, and a line that says why, if it cannot be used.
    """
    try:
        job.fallback.open(job.label_map.wnids, job.source_context)
    except SourceError as error:
        if alone:
            raise SourceError(
                f"neither source={job.source.name} nor fallback={job.fallback.name} can be used ({error}); "
                f"type source.list=FILE for a list, or source=full source.root=FOLDER for images that you have"
            ) from error
        log.warning("fallback=%s cannot be used: %s", job.fallback.name, error)
        log.warning("what it was to fill stays open: the same command goes on from there")
        return False
    dataset.state.bind_to_draw(job.draw_settings)
    return True


def warn_fallback_unbounded(job: Job, wnids: Sequence[str]) -> None:
    """Say that of these classes the fallback gives all that it has: there is no telling how much that is."""
    if wnids and job.fallback.name != "none":
        log.warning(
            "source=%s has no image, or not all, of %s: with nk=null fallback=%s gives all that it has of them (%s); "
            "source@fallback=none leaves them short",
            job.source.name,
            plural(len(wnids), "class", "classes"),
            job.fallback.name,
            first_few(wnids),
        )


def _listed_counts(job: Job) -> dict[str, int]:
    """How many images of a class are wanted with nk=null where they are named one by one: by a list or a manifest."""
    if job.nk is not None:
        return {}
    target_of = job.source.traits.target_of
    counts = {}
    for wnid in job.label_map.wnids:
        listed = job.sampling.listed(wnid)
        count = target_of(wnid) if listed is None else len(listed)
        if count is not None:
            counts[wnid] = count
    return counts
