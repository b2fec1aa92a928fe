"""kNN and ridge regression beside nearest class means, few-shot tables and out-of-distribution scores of a run.

These need all embeddings in memory at once, unlike class means.
"""

from __future__ import annotations

from typing import Any

import torch

from imagenet_nk.config.backbones import EvaluateConfig
from imagenet_nk.embedding.labeled_images import LabeledImages
from imagenet_nk.errors import CentersError
from imagenet_nk.evaluation.heads.few_shot import EmbeddedImages, evaluate_heads, few_shot_table, split_by_fraction
from imagenet_nk.evaluation.ood import evaluate_ood

MAX_BYTES = 8 * 2**30  # of embeddings, which are held as float32 and for a moment as float64


def heads_and_shots(
    train: LabeledImages, held_out: LabeledImages | None, wnids: tuple[str, ...], settings: EvaluateConfig, seed: int
) -> dict[str, Any]:
    """`heads` and `few_shot` of metrics.json; None for what is not asked for. Raises CentersError beyond MAX_BYTES."""
    if settings.heads == ["ncm"] and not settings.shots:
        return {"heads": None, "few_shot": None}
    images = load(train)
    test = load(held_out) if held_out is not None else None
    seeds = range(seed, seed + max(settings.random_splits, 1))
    few_shot = None
    if settings.shots:
        few_shot = few_shot_table(images, test, wnids, shots=settings.shots, seeds=seeds, heads=settings.heads)
    return {
        "heads": evaluate_heads(images, test, len(wnids), settings.heads, seeds, settings.test_fraction),
        "few_shot": few_shot,
    }


def ood_scores(
    train: LabeledImages,
    held_out: LabeledImages | None,
    outside: LabeledImages,
    classes: int,
    settings: EvaluateConfig,
    seed: int,
) -> dict[str, Any]:
    """`ood` of metrics.json: the images of `outside`, which are of no class, against held-out images of the classes.

    Where none are held out, a random split of the images is, so that no score sees the images it is judged on.
    """
    images, other = load(train), load(outside)
    if held_out is not None:
        inside, protocol = load(held_out), "held-out"
    else:
        images, inside = split_by_fraction(images, settings.test_fraction, seed)
        protocol = "random split"
    figures: dict[str, Any] = {}
    if len(inside) and len(other):
        filled, classes_N = images.classes.unique(return_inverse=True)
        scores = (images.embeddings, classes_N, len(filled), inside.embeddings, other.embeddings)
        figures = evaluate_ood(*scores)
    return {
        "list": settings.ood,
        "test_images": protocol,
        "seed": None if held_out is not None else seed,
        "inside": len(inside),
        "outside": len(other),
        "classes": classes,
        "scores": figures,
    }


def load(images: LabeledImages) -> EmbeddedImages:
    """All embeddings of a list, in memory. Raises CentersError if they would take more than MAX_BYTES."""
    dim = images.embeddings.plan.backbone.dim
    size = 4 * len(images.entries) * dim
    if size > MAX_BYTES:
        raise CentersError(
            f"evaluate.heads, shots and ood hold all embeddings in memory, {size / 2**30:.0f} GiB here; "
            "type evaluate.heads=[ncm] evaluate.shots=[] evaluate.ood=null, or a smaller nk"
        )
    batches = [(x_BD, classes_B) for x_BD, classes_B, _ in images.batches()]
    if not batches:
        return EmbeddedImages(torch.empty(0, dim), torch.empty(0, dtype=torch.int64))
    embeddings, classes = (torch.cat(column) for column in zip(*batches, strict=True))
    return EmbeddedImages(embeddings, classes)
