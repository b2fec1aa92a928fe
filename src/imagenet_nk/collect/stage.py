"""Stage `collect`: fill every class from the source, then from the fallback, and leave the data set behind."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping

from imagenet_nk.collect.distributed.distributed_run import DistributedRun
from imagenet_nk.collect.distributed.shard import WorkerSpec
from imagenet_nk.collect.job import Job, ProgressCallback
from imagenet_nk.collect.open_sources import open_first
from imagenet_nk.collect.progress import Progress
from imagenet_nk.collect.single_process import LocalRun
from imagenet_nk.config.collecting import Retry
from imagenet_nk.config.sources import Materialize
from imagenet_nk.dataset.dataset import DataSet
from imagenet_nk.dataset.folder_layout import LOCK
from imagenet_nk.dataset.image_store import RESERVE
from imagenet_nk.dataset.summary import Summary, TableContext
from imagenet_nk.dataset.table_writer import RECHECK
from imagenet_nk.errors import ContradictionError, DatasetError, SourceError
from imagenet_nk.net import retry_policy, url_guard
from imagenet_nk.storage import files
from imagenet_nk.storage.run_lock import run_lock
from imagenet_nk.wording import first_few, plural

log = logging.getLogger(__name__)


def no_progress(progress: Progress) -> None:
    """Show nothing."""


def check(job: Job) -> None:
    """Raise DatasetError if the folder cannot hold what the job asks for. Creates nothing."""
    if files.is_remote(job.folder) and Materialize.link in job.materialize.values():
        raise DatasetError(f"{job.folder} can hold no links; type source.materialize=copy, or none")


def collect(job: Job, watch: ProgressCallback = no_progress) -> Summary:
    """Bring nk images of every class into the folder, as far as the sources have them; fetches only missing ones.

    Raises DatasetError or SourceError. After an interruption at any instant, the same call goes on from there.
    """
    check(job)
    with run_lock(job.home / LOCK):
        dataset = DataSet(job.folder, job.home)
        try:
            return _collect(job, dataset, watch)
        finally:
            dataset.close()


def _collect(job: Job, dataset: DataSet, watch: ProgressCallback) -> Summary:
    started = time.monotonic()
    dataset.state.check_draw(job.draw_settings)
    if job.retry == Retry.none and dataset.is_complete(job.fingerprint, job.label_map.wnids):
        summary = dataset.tables.write_tables(_tables(job, dataset))
        log.info("%s is complete: %d images of %d classes", job.folder, summary.kept, summary.classes)
        _warn_if_short(summary)
        return summary
    dataset.state.note_request(job.label_map.wnids, job.nk, job.materialize)
    try:
        collection = _run_with_restart(job, dataset, _DiskGuard(dataset, watch))
    finally:
        _close_sources(job)
    summary = dataset.tables.finalize(collection.quotas, _completion_stamp(job, collection), _tables(job, dataset))
    dataset.tables.write_terms(
        [source.terms for source in job.sources if source.name in summary.sources] or [job.source.terms]
    )
    _log_summary(summary, time.monotonic() - started, job.http.allow_private, is_cut_off=collection.is_cut_off)
    return summary


def _completion_stamp(job: Job, collection: LocalRun | DistributedRun) -> str:
    """The job's fingerprint if the same command would find nothing more; "" if it is to continue this run.

    RECHECK if it is to look again: for a source of a single origin that costs little, and missing images may have been
    added to it.
    """
    if collection.is_cut_off or not collection.is_complete:
        return ""
    if not collection.first_is_open and not all(quota.is_full for quota in collection.quotas):
        return ""
    if job.source.traits.single_origin and any(quota.lacks_images for quota in collection.quotas):
        return RECHECK
    return job.fingerprint


def _tables(job: Job, dataset: DataSet) -> TableContext:
    return TableContext(job.label_map, dataset.state.target_of(job.nk), job.split, job.materialize)


def _close_sources(job: Job) -> None:
    for source in job.sources:
        source.close()


def _run_with_restart(job: Job, dataset: DataSet, watch: ProgressCallback) -> LocalRun | DistributedRun:
    """Run; if a source contradicts itself, run once more without anything that was read from it."""
    try:
        return _run_once(job, dataset, watch)
    except ContradictionError as error:
        log.warning("%s", error)
        log.warning("restarting: everything read from this source is discarded")
        _close_sources(job)
        try:
            return _run_once(job, dataset, watch)
        except SourceError as again:
            raise error from again


def _run_once(job: Job, dataset: DataSet, watch: ProgressCallback) -> LocalRun | DistributedRun:
    """Open the source and fill all classes, in this process or over the engine; returns the run with its quotas."""
    since = dataset.ledger.last_id()
    collection = _make_run(job, dataset, since)
    try:
        collection.run(watch)
    except (KeyboardInterrupt, SourceError) as error:  # the tables describe what is kept so far
        if isinstance(error, ContradictionError):
            _discard_contradictions(job, dataset)
        dataset.tables.finalize(collection.quotas, "", _tables(job, dataset))
        raise
    finally:
        collection.close()
        dataset.ledger.flush()
    if not collection.has_answers:
        dataset.ledger.reopen_connection_failures(since)
        commonest = collection.progress.reasons.most_common(1)[0][0]
        raise SourceError(
            f"none of {collection.hosts_requested} hosts answered (mostly {commonest}): is this machine connected? "
            f"No candidate is marked as failed; run it again"
        )
    if files_lost := dataset.records.missing_files:
        log.info("image files that were missing or damaged and are fetched again: %d", files_lost)
    if collection.is_cut_off:
        log.warning(
            "nothing on the network has answered for %.0f s: candidates tried meanwhile stay open; the same command "
            "continues from here",
            retry_policy.MAX_PAUSE_S,
        )
    return collection


def _discard_contradictions(job: Job, dataset: DataSet) -> None:
    """Reopen all candidates of the sources that keep an index, and clear that index."""
    dataset.ledger.flush()
    for source in job.sources:
        if clear_index := source.traits.clear_index:
            clear_index()
            dataset.ledger.reopen_source(source.name)


def _make_run(job: Job, dataset: DataSet, since: int) -> LocalRun | DistributedRun:
    engine_workers = job.engine.workers(int(min(job.target_total, 2**62)))
    workers = min(engine_workers, job.http.concurrency, job.http.per_host, len(job.label_map))
    if workers == 1 and job.engine.is_local:
        return LocalRun(job, dataset, first_is_open=open_first(job, dataset))
    spec = WorkerSpec.of(job, workers)  # before the sources are open, because it contains them
    return DistributedRun(job, dataset, spec, workers, since=since, first_is_open=open_first(job, dataset))


class _DiskGuard:
    """A progress callback that also raises when the disk is nearly full."""

    def __init__(self, dataset: DataSet, watch: ProgressCallback) -> None:
        self._dataset, self._watch = dataset, watch
        self._checked = -math.inf  # the first check is before the first request

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._checked > 1:
            self._checked = now
            if (free := self._dataset.store.free_bytes()) < 0:
                raise DatasetError(
                    f"the disk of {self._dataset.folder} is full but for {_mib(free + RESERVE)}, and the last "
                    f"{_mib(RESERVE)} are for the ledger and the lists: free some space, then run it again"
                )
        self._watch(progress)


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


def _log_summary(summary: Summary, seconds: float, allow_private: bool, *, is_cut_off: bool) -> None:
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
        log.info("%d kept images have the same pixels as one of another class", summary.shared)
    _warn_about_forbidden(summary.forbidden, allow_private)
    if summary.missing:
        log.warning(
            "%d named images could not be fetched (see missing.csv): %s",
            len(summary.missing),
            first_few(summary.missing),
        )
    _warn_if_short(summary, is_cut_off=is_cut_off)


def _warn_if_short(summary: Summary, *, is_cut_off: bool = False) -> None:
    if summary.short:
        subject = f"{plural(len(summary.short), 'class', 'classes')} {'is' if len(summary.short) == 1 else 'are'}"
        log.warning("%s short of images (see classes.csv): %s", subject, first_few(summary.short))
    if summary.short and summary.transient and not is_cut_off:  # else the same command has to continue first
        reasons = ", ".join(f"{reason} {count}" for reason, count in summary.transient.items())
        log.warning(
            "%d rejections may be temporary (%s): retry=transient tries them again",
            sum(summary.transient.values()),
            reasons,
        )


def _warn_about_forbidden(counts: Mapping[str, int], allow_private: bool) -> None:
    """Name the setting that would allow private addresses, and count the other refusals."""
    private = sum(count for what, count in counts.items() if what in url_guard.PRIVATE)
    if private and not allow_private:
        log.warning("%d URLs lead to private networks; http.allow_private=true allows them", private)
    rest = [(what or "unknown", count) for what, count in counts.items() if what not in url_guard.PRIVATE]
    if rest:
        rest.sort(key=lambda one: (-one[1], one[0]))
        summary = first_few([f"{what} {count}" for what, count in rest])
        log.warning("%d URLs lead to forbidden places: %s", sum(count for _, count in rest), summary)
