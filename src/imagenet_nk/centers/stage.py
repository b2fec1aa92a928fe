"""The stages `centers` and `evaluate`: from lists to centers.safetensors and metrics.json."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imagenet_nk.centers import cost
from imagenet_nk.centers.accumulate import first_reading
from imagenet_nk.centers.file import NAME, Centers
from imagenet_nk.config import CentersConfig
from imagenet_nk.embedding.dataset import Classes, EmbeddingConfig, Entries, LabeledImages, check
from imagenet_nk.embedding.embedder import Embedder, Progress
from imagenet_nk.embedding.multi_backbone import embed_together
from imagenet_nk.errors import ConfigError
from imagenet_nk.statistics import iterative
from imagenet_nk.statistics.streaming import Mean, Medoid, NormalizedMean, SharedCovariance
from imagenet_nk.version import __version__
from imagenet_nk.wording import first_few, plural

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BackboneRun:
    """One backbone of a run, built, with the folder for its results."""

    setting: EmbeddingConfig
    output: Path
    embedder: Embedder


def build(setting: EmbeddingConfig, output: Path) -> list[BackboneRun]:
    """A task for each of `backbone.models`, with a folder of its own; or the one of `backbone.name`, in `output`."""
    names = setting.backbone.models
    backbones = [replace(setting.backbone, name=name, models=[]) for name in names] or [setting.backbone]
    settings = [replace(setting, backbone=backbone) for backbone in backbones]
    outputs = [output / name for name in names] or [output]
    return [BackboneRun(each, to, each.embedder(to)) for each, to in zip(settings, outputs, strict=True)]


def compute_all(
    tasks: Sequence[BackboneRun],
    entries: Entries,
    label_map: Classes,
    list_sha256: str,
    progress: Progress | None = None,
) -> list[Centers]:
    """Stage `centers` of every task. Several backbones share a pass, and each then reads what it left on disk."""
    check(entries, label_map)
    if len(tasks) > 1:
        embed_together([task.embedder for task in tasks], [path for path, _ in entries], progress)
    return [
        compute(entries, label_map, task.setting, task.output, list_sha256, embedder=task.embedder, progress=progress)
        for task in tasks
    ]


def compute(
    entries: Entries,
    label_map: Classes,
    setting: EmbeddingConfig,
    output: Path,
    list_sha256: str,
    *,
    embedder: Embedder | None = None,
    progress: Progress | None = None,
) -> Centers:
    """Stage `centers`: embed the images of a list and write the centers of its classes to output/centers.safetensors.

    Unreadable images are skipped, named and counted. Raises ListError, BackboneError, CentersError.
    """
    check(entries, label_map)
    embedder = embedder or setting.embedder(output)
    kept = embedder.keeps(len(entries))
    _allowed(setting.centers, kept)
    listed, mean, spread = first_reading(entries, embedder, progress)
    extras, words = _further(listed, mean, setting.centers, kept)
    images, skipped = int(mean.counts_K.sum()), len(embedder.faults)
    known = dict(zip(label_map.labels, zip(label_map.wnids, label_map.names, strict=True), strict=True))
    words["empty_wnids"] = json.dumps(_empty(known, listed.rows))
    centers = Centers(
        mean.result().float().numpy(),
        mean.counts_K.numpy(),
        np.array(list(listed.rows), dtype=np.int64),
        spread.result().float().numpy(),
        tuple(known[label][0] for label in listed.rows),
        tuple(known[label][1] for label in listed.rows),
        {**_metadata(embedder, setting, list_sha256), **words},
        extras,
    )
    centers.save(output / NAME)
    cost.write(output, embedder)
    log.info("%d centers of %d images, %d skipped: %s", len(listed.rows), images, skipped, output / NAME)
    return centers


def _allowed(settings: CentersConfig, kept: bool) -> None:
    if not kept and (settings.covariance or settings.normalized or settings.prototypes > 1):
        raise ConfigError(
            "centers.normalized, prototypes and covariance read the embeddings again; "
            "type centers.cache_embeddings=always as well"
        )


def _further(
    listed: LabeledImages, mean: Mean, settings: CentersConfig, kept: bool
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Statistics that need the centers first, as tensors and words of the file."""
    if not kept:
        return {}, {}
    centers_KD, origin_D = mean.result(), mean.grand_mean()
    classes, dim = centers_KD.shape
    nearest = Medoid(centers_KD)
    streamed: dict[str, NormalizedMean | SharedCovariance] = {"cl2n": NormalizedMean(classes, dim, origin_D)}
    if settings.covariance:
        streamed["covariance"] = SharedCovariance(centers_KD)
    if settings.normalized:
        streamed["normalized"] = NormalizedMean(classes, dim)
    for x_BD, classes_B, rows_B in listed.batches():
        nearest.add(x_BD, classes_B, rows_B)
        for statistic in streamed.values():
            statistic.add(x_BD, classes_B)
    results = {"cl2n_origin": origin_D} | {name: statistic.result() for name, statistic in streamed.items()}
    extras: dict[str, NDArray[Any]] = {name: result.float().numpy() for name, result in results.items()}
    if settings.prototypes > 1:
        points_KPD, counts_KP = iterative.prototypes(centers_KD, settings.prototypes, listed.pairs)
        extras |= {"prototypes": points_KPD.float().numpy(), "prototype_counts": counts_KP.numpy()}
    medoids = [str(listed.paths[row]) for row in nearest.result().tolist()]
    return extras, {"medoids": json.dumps(medoids)}


def _empty(known: dict[int, tuple[str, str]], rows: dict[int, int]) -> list[str]:
    empty = [known[label][0] for label in sorted(known) if label not in rows]
    if empty:
        classes = plural(len(empty), "class", "classes")
        log.warning("%s (%s): no image that can be read, and so no center", classes, first_few(empty))
    return empty


def _metadata(embedder: Embedder, setting: EmbeddingConfig, list_sha256: str) -> dict[str, str]:
    return {
        "backbone": embedder.built.name,
        "backbone_config": json.dumps(asdict(setting.backbone)),
        "weights": embedder.built.weights,
        "weights_sha256": embedder.built.sha256,
        "transform": embedder.crops.identity,
        "list_sha256": list_sha256,
        "seed": str(setting.seed),
        "skipped": str(len(embedder.faults)),
        "version": __version__,
        "torch": torch.__version__,
    }
