"""Opening the source and the fallback of a run, and going on with one of them if the other is unreachable."""

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
    """Open the source, and bind the folder to it. False, with a warning, if it is out of reach but there is a fallback.

    An error in a folder that was begun with the source, whose images would all be replaced.
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
        log.warning("%s; continuing with fallback=%s", error, job.fallback.name)
        dataset.state.set_targets({})
        return False
    dataset.state.set_targets(_listed_counts(job))
    dataset.state.bind_to_draw({**job.draw_settings, "identity": job.source.identity})
    dataset.tables.write_terms([job.source.terms])  # at once: a run that is stopped leaves images as well
    return True


def open_fallback(job: Job, dataset: DataSet, *, is_required: bool) -> bool:
    """Open the fallback. False, with a warning, if it cannot be used; an error if `is_required`."""
    try:
        job.fallback.open(job.label_map.wnids, job.source_context)
    except SourceError as error:
        if is_required:
            raise SourceError(
                f"neither source={job.source.name} nor fallback={job.fallback.name} can be used ({error}); "
                f"type source.list=FILE for a list, or source=full source.root=FOLDER for images that you have"
            ) from error
        log.warning("fallback=%s cannot be used: %s", job.fallback.name, error)
        log.warning("its classes stay incomplete: the same command continues from here")
        return False
    dataset.state.bind_to_draw(job.draw_settings)
    return True


def warn_fallback_unbounded(job: Job, wnids: Sequence[str]) -> None:
    """Warn that with nk=null the fallback adds all images that it has of these classes, however many."""
    if wnids and job.fallback.name != "none":
        log.warning(
            "source=%s has no images, or not all, of %s: with nk=null fallback=%s adds all that it has (%s); "
            "source@fallback=none leaves them incomplete",
            job.source.name,
            plural(len(wnids), "class", "classes"),
            job.fallback.name,
            first_few(wnids),
        )


def _listed_counts(job: Job) -> dict[str, int]:
    """Images wanted of each class with nk=null if a list or a manifest names them one by one."""
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
