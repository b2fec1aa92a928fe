"""The accuracy of the model's own classifier head, and what it says of the labels."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imagenet_nk.backbones.head import Head
from imagenet_nk.embedding.labeled_images import Classes, LabeledImages
from imagenet_nk.evaluation.label_check.check import LabelCheck
from imagenet_nk.evaluation.metrics import proportion

log = logging.getLogger(__name__)

MajorityVotes = dict[int, tuple[str, float]]  # label to the most frequent prediction for its images, and its share


def evaluate_head(
    head: Head | None,
    images: LabeledImages,
    label_map: Classes,
    *,
    is_published: bool,
    ncm_top1: float | None,
    ncm_classes: NDArray[np.int64],
) -> tuple[dict[str, Any], MajorityVotes]:
    """`classifier_head` and `label_check` of metrics.json, and the head's majority vote for each label.

    is_published: timm's own weights, whose outputs are in timm's order; ncm_top1: of the centers over all images of the
    classes in the rows ncm_classes. None and no votes without a head over these classes.
    """
    given = dict(zip(label_map.labels, label_map.wnids, strict=True))
    rows_K = images.rows_with_images
    with_images = set(rows_K.tolist())
    labels = [label for label, row in images.class_rows.items() if row in with_images]
    if head is None or not labels:
        return dict(_NOTHING), {}
    check = LabelCheck(labels, given, head.out_features, is_published_head=is_published)
    if not check.is_possible:
        return dict(_NOTHING), {}
    with torch.inference_mode():
        for x_BD, rows_B in _batches(images):
            check.add(head(x_BD), torch.from_numpy(np.searchsorted(rows_K, rows_B)))
    verdict = check.result()
    label_check, outputs = verdict.as_metrics(), verdict.outputs()
    _log(label_check)
    accuracy = None
    if outputs is not None:
        columns = torch.tensor([outputs.get(given[label], -1) for label in images.class_rows])
        accuracy = _accuracy(head, images, columns, ncm_top1, ncm_classes)
    return {"classifier_head": accuracy, "label_check": label_check}, verdict.majority_votes()


_NOTHING: dict[str, Any] = {"classifier_head": None, "label_check": None}


def _batches(images: LabeledImages) -> Iterator[tuple[Tensor, NDArray[np.int64]]]:
    for x_BD, rows_B, _ in images.batches():
        yield x_BD.float(), rows_B.numpy()


def _accuracy(
    head: Head, images: LabeledImages, columns_K: Tensor, ncm_top1: float | None, ncm_classes: NDArray[np.int64]
) -> dict[str, Any]:
    """Top-1 among all outputs and among those of the centers, columns_K; -1 for a class that the head does not know.

    The ratio to nearest class means is over the images of ncm_classes alone: leave-one-out cannot evaluate a class of
    one image, the head can.
    """
    known_J = (columns_K >= 0).nonzero().flatten()
    columns_J, hits, hits_among_centers, comparable = columns_K[known_J], 0, 0, [0, 0]
    total = 0
    with torch.inference_mode():
        for x_BD, rows_B in _batches(images):
            logits_BC, own_B = head(x_BD), columns_K[torch.from_numpy(rows_B)]
            is_hit_B = (columns_J[logits_BC[:, columns_J].argmax(1)] == own_B).numpy()
            is_comparable_B = np.isin(rows_B, ncm_classes)
            hits += int((logits_BC.argmax(1) == own_B).sum())
            hits_among_centers += int(is_hit_B.sum())
            comparable = [
                comparable[0] + int(is_hit_B[is_comparable_B].sum()),
                comparable[1] + int(is_comparable_B.sum()),
            ]
            total += len(rows_B)
    ratio = ncm_top1 * comparable[1] / comparable[0] if ncm_top1 is not None and comparable[0] else None
    return {
        "top1": hits / total,
        "top1_among_centers": hits_among_centers / total,
        "ci95": proportion(hits_among_centers, total)["ci95"],
        "images": total,
        "ncm_to_head_ratio": ratio,
    }


def _log(label_check: dict[str, Any]) -> None:
    if label_check["labels_wrong"]:
        log.error("label check: %s", label_check["message"])
    elif label_check["swapped_classes"] or not label_check["is_default_head_order"]:
        log.warning("label check: %s", label_check["message"])
    else:
        log.info("label check: %s", label_check["message"])
