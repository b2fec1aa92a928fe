"""The stage `centers`: from a list of images to centers.safetensors and cost.json."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imagenet_nk.centers import cost
from imagenet_nk.centers.file import NAME, Centers
from imagenet_nk.embedding.embed import Progress, embed_images
from imagenet_nk.embedding.embeddings import Embeddings
from imagenet_nk.embedding.labeled_images import Classes, Entries, LabeledImages, check, describe_empty
from imagenet_nk.embedding.run import BackboneRun
from imagenet_nk.errors import CentersError
from imagenet_nk.statistics.streaming import Mean, Medoid, NormalizedMean, Spread
from imagenet_nk.version import __version__
from imagenet_nk.wording import first_few, plural

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BackboneCenters:
    """The centers of one backbone of a run, and the embeddings they are made of."""

    run: BackboneRun
    embeddings: Embeddings
    centers: Centers


def compute_all(
    runs: Sequence[BackboneRun],
    entries: Entries,
    label_map: Classes,
    list_sha256: str,
    progress: Progress | None = None,
    *,
    others: Sequence[Path] = (),
) -> list[BackboneCenters]:
    """The centers of the list under each backbone; nothing is saved but the embeddings.

    others: images that are embedded as well, for an evaluation. Unreadable images are skipped, logged and counted.
    Raises ListError, BackboneError, CentersError.
    """
    check(entries, label_map)
    embedded = embed_images(runs, [*(path for path, _ in entries), *others], progress)
    return [
        BackboneCenters(run, embeddings, _centers(run, entries, embeddings, label_map, list_sha256))
        for run, embeddings in zip(runs, embedded, strict=True)
    ]


def save(computed: BackboneCenters) -> None:
    """Write centers.safetensors and cost.json into the output folder of the backbone."""
    output, centers = computed.run.output, computed.centers
    centers.save(output / NAME)
    cost.write(output, computed.embeddings)
    skipped = centers.metadata["skipped"]
    log.info("%d centers of %d images, %s skipped: %s", len(centers), centers.counts.sum(), skipped, output / NAME)


def _centers(
    run: BackboneRun, entries: Entries, embeddings: Embeddings, label_map: Classes, list_sha256: str
) -> Centers:
    images, mean, spread = accumulate_means(entries, embeddings)
    extras, medoids = _extra_statistics(images, mean)
    classes = dict(zip(label_map.labels, zip(label_map.wnids, label_map.names, strict=True), strict=True))
    metadata = _metadata(run, entries, embeddings, list_sha256)
    metadata |= {"medoids": medoids, "empty_wnids": json.dumps(_empty_wnids(classes, images.class_rows))}
    return Centers(
        mean.result().float().numpy(),
        mean.counts_K.numpy(),
        np.array(list(images.class_rows), dtype=np.int64),
        spread.result().float().numpy(),
        tuple(classes[label][0] for label in images.class_rows),
        tuple(classes[label][1] for label in images.class_rows),
        metadata,
        extras,
    )


def accumulate_means(entries: Entries, embeddings: Embeddings) -> tuple[LabeledImages, Mean, Spread]:
    """The images with the rows of their classes, and mean and spread of each class.

    A class without any embedding has no row. Raises CentersError if no class has one.
    """
    paths = [path for path, _ in entries]
    filled = sorted({label for path, label in entries if path in embeddings.rows})
    if not filled:
        raise CentersError(f"{describe_empty(embeddings, paths)} (first: {paths[0]}): there is no center to make")
    images = LabeledImages(entries, {label: row for row, label in enumerate(filled)}, embeddings)
    dim = embeddings.plan.backbone.dim
    mean, spread = Mean(len(filled), dim), Spread(len(filled), dim)
    for x_BD, classes_B in images.pairs():
        mean.add(x_BD, classes_B)
        spread.add(x_BD, classes_B)
    return images, mean, spread


def _extra_statistics(images: LabeledImages, mean: Mean) -> tuple[dict[str, NDArray[Any]], str]:
    """Statistics that need the means first: tensors of the file, and the paths of the medoids as JSON."""
    centers_KD, origin_D = mean.result(), mean.grand_mean()
    classes, dim = centers_KD.shape
    medoid, cl2n = Medoid(centers_KD), NormalizedMean(classes, dim, origin_D)
    for x_BD, classes_B, rows_B in images.batches():
        medoid.add(x_BD, classes_B, rows_B)
        cl2n.add(x_BD, classes_B)
    extras = {"cl2n_origin": origin_D.float().numpy(), "cl2n": cl2n.result().float().numpy()}
    return extras, json.dumps([str(images.entries[row][0]) for row in medoid.result().tolist()])


def _empty_wnids(classes: dict[int, tuple[str, str]], class_rows: dict[int, int]) -> list[str]:
    empty = [classes[label][0] for label in sorted(classes) if label not in class_rows]
    if empty:
        log.warning(
            "%s (%s): no image that can be read, and so no center",
            plural(len(empty), "class", "classes"),
            first_few(empty),
        )
    return empty


def _metadata(run: BackboneRun, entries: Entries, embeddings: Embeddings, list_sha256: str) -> dict[str, str]:
    plan = embeddings.plan
    return {
        "backbone": plan.backbone.name,
        "backbone_config": json.dumps(asdict(run.config.backbone)),
        "weights": plan.backbone.weights,
        "weights_sha256": plan.backbone.sha256,
        "transform": plan.preprocessor.cache_key,
        "embeddings_key": json.dumps(plan.cache_key, sort_keys=True),
        "list_sha256": list_sha256,
        "seed": str(run.config.seed),
        "skipped": str(len({path for path, _ in entries} & embeddings.skipped.keys())),
        "version": __version__,
        "torch": torch.__version__,
    }
