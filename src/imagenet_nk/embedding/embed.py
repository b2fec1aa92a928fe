"""Embeds the images of a run: reads the cache, and has an executor embed what it lacks."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from imagenet_nk.config.backbones import CentersConfig, Keep
from imagenet_nk.embedding.embeddings import Embeddings, drop_nonfinite
from imagenet_nk.embedding.run import BackboneRun
from imagenet_nk.preprocessing import row_cache
from imagenet_nk.preprocessing.types import EmbeddingBatch, SkippedImage
from imagenet_nk.storage import files
from imagenet_nk.storage.naming import Status

log = logging.getLogger(__name__)

MAX_AUTO_CACHE_BYTES = 4 * 2**30  # of embeddings that centers.cache_embeddings=auto keeps

Progress = Callable[[int, int], None]  # images done, images in all


def embed_images(
    runs: Sequence[BackboneRun], paths: Sequence[Path], progress: Progress | None = None
) -> list[Embeddings]:
    """The embeddings of the images under each backbone; backbones with the same preprocessing share one decoding.

    The caches are opened once and stay locked until all embeddings are there. Raises BackboneError, CentersError.
    """
    images = list(dict.fromkeys(paths))
    statuses = files.stat_many(images)
    with ExitStack() as stack:
        # Sorted, so that two processes take the locks in the same order.
        ordered = sorted(runs, key=lambda run: (run.plan.backbone.name, run.plan.backbone.sha256))
        jobs = {id(run): _Job(run, images, statuses, stack) for run in ordered}
        groups: dict[tuple[str, str], list[_Job]] = {}
        for job in jobs.values():
            groups.setdefault((job.plan.preprocessor.resize_key, str(job.plan.devices)), []).append(job)
        for group in groups.values():
            _embed_missing(group, images, progress)
        return [jobs[id(run)].result() for run in runs]


class _Job:
    """The cache of one backbone while it is filled. The plan is resolved if an image is missing from the cache."""

    def __init__(
        self, run: BackboneRun, images: Sequence[Path], statuses: Sequence[Status | None], stack: ExitStack
    ) -> None:
        self.run, self.plan, self.images, self.statuses = run, run.plan, images, statuses
        self.skipped: dict[Path, str] = {}
        self.embedded, self.seconds = 0, 0.0
        with ExitStack() as opened:
            self._open(opened)
            if missing := self.missing:
                self.plan = run.config.executor.resolve(run.plan, [images[row] for row in missing])
            if self.plan.cache_key != run.plan.cache_key:  # the reference is used instead, and has its own cache
                opened.close()
                self._open(opened)
            stack.enter_context(opened.pop_all())
        self.is_missing = self.rows < 0

    def _open(self, stack: ExitStack) -> None:
        backbone, folder = self.plan.backbone, self.run.cache_folder
        if should_cache(self.run.config.centers, len(self.images), backbone.dim):
            opened = row_cache.open_cache(folder, backbone.name, self.plan.cache_key, backbone.dim)
        else:
            opened = row_cache.open_temporary_cache(folder, backbone.dim)
        self.cache = stack.enter_context(opened)
        self.rows = self.cache.find(self.statuses)

    @property
    def missing(self) -> list[int]:
        """The images without an embedding."""
        return np.flatnonzero(self.rows < 0).tolist()

    def add(self, batch: EmbeddingBatch) -> None:
        """Store the embeddings of a batch that the cache lacks; images that are skipped are logged."""
        is_new = self.is_missing[batch.rows]
        skipped = tuple(image for image in batch.skipped if self.is_missing[image.row])
        finite = drop_nonfinite(
            EmbeddingBatch(batch.rows[is_new], batch.embeddings[is_new], skipped),
            *(self.images, self.run.config.centers.on_nonfinite, self.plan.config.dtype),
        )
        for image in finite.skipped:
            log.warning("skipped %s: %s", image.path, image.reason)
            self.skipped[image.path] = image.reason
        if len(finite.rows):
            self.rows[finite.rows] = self.cache.append([self.statuses[row] for row in finite.rows], finite.embeddings)

    def result(self) -> Embeddings:
        rows = {path: row for path, row in zip(self.images, self.rows.tolist(), strict=True) if row >= 0}
        return Embeddings(self.plan, self.cache.map_rows(), rows, self.skipped, self.embedded, self.seconds)


def _embed_missing(jobs: Sequence[_Job], images: Sequence[Path], progress: Progress | None) -> None:
    """Run the backbones of one group over the images that one of them lacks."""
    jobs = [job for job in jobs if job.is_missing.any()]
    if not jobs:
        return
    rows = np.flatnonzero(np.any([job.is_missing for job in jobs], axis=0))
    executor, started, done = jobs[0].run.config.executor, time.perf_counter(), 0
    edges = np.cumsum([job.plan.backbone.dim for job in jobs])[:-1]
    for batch in executor.embed([job.plan for job in jobs], [images[row] for row in rows.tolist()]):
        skipped = tuple(SkippedImage(int(rows[image.row]), image.path, image.reason) for image in batch.skipped)
        parts = np.split(batch.embeddings, edges, axis=1) if len(batch.rows) else [batch.embeddings] * len(jobs)
        for job, part in zip(jobs, parts, strict=True):
            job.add(EmbeddingBatch(rows[batch.rows], part, skipped))
        done += len(batch.rows) + len(batch.skipped)
        if progress:
            progress(done, len(rows))
    _log_throughput(jobs, done, time.perf_counter() - started)


def _log_throughput(jobs: Sequence[_Job], images: int, seconds: float) -> None:
    first = jobs[0]
    if len(jobs) == 1:  # the time of a shared pass says nothing of one of its backbones
        first.embedded, first.seconds = images, seconds
    log.info(
        "%s: %d images in %.1f s, %.1f images/s (%s); %d skipped",
        *(", ".join(job.plan.backbone.name for job in jobs), images, seconds, images / max(seconds, 1e-9)),
        *(first.run.config.executor.describe(first.plan), len(first.skipped)),
    )


def should_cache(settings: CentersConfig, images: int, dim: int) -> bool:
    """Whether the embeddings of so many images stay on disk after the run."""
    return settings.cache_embeddings == Keep.always or (
        settings.cache_embeddings == Keep.auto and images * dim * 4 < MAX_AUTO_CACHE_BYTES
    )
