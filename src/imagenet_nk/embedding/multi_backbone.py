"""Several backbones in one pass: one decoding feeds all models that want the same crops."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from imagenet_nk.embedding import loader
from imagenet_nk.embedding.embedder import Embedder, Progress
from imagenet_nk.errors import ConfigError
from imagenet_nk.preprocessing import row_cache
from imagenet_nk.preprocessing.factory import open_loader
from imagenet_nk.preprocessing.transforms import RGBArray
from imagenet_nk.preprocessing.types import EmbeddingBatch, Floats, Forward

log = logging.getLogger(__name__)


def embed_together(embedders: Sequence[Embedder], paths: Sequence[Path], progress: Progress | None = None) -> None:
    """Fill the stores of all backbones with the embeddings of the images; afterwards each reads its own.

    Backbones with the same crops share a pass. Raises ConfigError where embeddings are not kept.
    """
    if not all(embedder.keeps(len(paths)) for embedder in embedders):
        raise ConfigError("backbone.models needs embeddings on disk: type centers.cache_embeddings=always as well")
    for embedder in embedders:
        embedder.settled(paths)  # before the grouping: one that goes back to the reference wants other crops
    groups: dict[tuple[str, str], list[Embedder]] = {}
    for embedder in embedders:
        groups.setdefault((embedder.crops.spatial, str(embedder.devices)), []).append(embedder)
    for group in groups.values():
        _pass(group, paths, progress)


def _pass(group: Sequence[Embedder], paths: Sequence[Path], progress: Progress | None) -> None:
    group = sorted(group, key=lambda each: (each.built.name, each.built.sha256))  # two runs lock in the same order
    with ExitStack() as stack:
        kept = [
            stack.enter_context(row_cache.open_cache(each.folder, each.built.name, each.key, each.built.dim))
            for each in group
        ]
        rows = np.flatnonzero(np.any([each.find(paths) < 0 for each in kept], axis=0)).tolist()
        if not rows:
            return
        started, done = time.perf_counter(), 0
        for part in _parts(group, paths, rows):
            for each, own, share in zip(group, kept, _shares(part, group), strict=True):
                whole = each.checked(share, paths)
                own.append([paths[row] for row in whole.rows], whole.embeddings)
            done += len(part.rows) + len(part.faults)
            if progress:
                progress(done, len(rows))
        names, seconds = ", ".join(each.built.name for each in group), time.perf_counter() - started
        log.info("%s together: %d images in %.1f s, %.1f images/s", names, done, seconds, done / seconds)


def _parts(group: Sequence[Embedder], paths: Sequence[Path], rows: Sequence[int]) -> Iterator[EmbeddingBatch]:
    first, images = group[0], [paths[row] for row in rows]
    if first.crew:
        yield from first.crew.embed([each.order(images) for each in group], paths, rows)
        return
    with open_loader(first.crops, images) as (load, gather):
        yield from loader.run(paths, rows, load, side_by_side(group, paths), gather=gather, **first.width)


def side_by_side(group: Sequence[Embedder], paths: Sequence[Path]) -> Forward:
    """(B, sum of D): the embeddings of all models, one beside the other."""
    forwards = [each.ready(paths).forward for each in group]

    def forward(crops_BHW3: RGBArray) -> Floats:
        return np.concatenate([one(crops_BHW3) for one in forwards], axis=1)

    return forward


def _shares(part: EmbeddingBatch, group: Sequence[Embedder]) -> list[EmbeddingBatch]:
    if not len(part.rows):
        return [part] * len(group)
    edges = np.cumsum([each.built.dim for each in group])[:-1]
    return [EmbeddingBatch(part.rows, share, part.faults) for share in np.split(part.embeddings, edges, axis=1)]
