"""The accuracy of the model's own classifier head, and what it says of the labels."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from imagenet_nk.embedding.labeled_images import Classes, LabeledImages
from imagenet_nk.evaluation import label_check
from imagenet_nk.evaluation.evaluator import EmbeddingSource
from imagenet_nk.evaluation.ncm import Predictions

log = logging.getLogger(__name__)


def evaluate_head(
    head: nn.Linear | None,
    wnids: Sequence[str],
    images: LabeledImages,
    label_map: Classes,
    predictions: Mapping[str, Predictions],
) -> tuple[dict[str, Any], label_check.MajorityVotes]:
    """`classifier_head` and `label_check` of metrics.json, and the head's majority vote for each label.

    wnids: of the classes, (K,); predictions: those of the centers. None and no votes without a head over these classes.
    """
    order = label_check.head_order(head.out_features, label_map.wnids) if head is not None else None
    if head is None or order is None or not len(predictions["euclidean"].ranks):
        return {"classifier_head": None, "label_check": None}, {}
    accuracy, predicted_N, rows_N = head_accuracy(head, order, wnids, images.batches)
    labels_N = images.labels[rows_N]
    ncm = max(each.top(1) for each in predictions.values())
    ratio = ncm / accuracy["top1_among_centers"] if accuracy["top1_among_centers"] else None
    check = label_check.check(
        labels_N,
        predicted_N,
        dict(zip(label_map.labels, label_map.wnids, strict=True)),
        label_check.imagenet_label_orders(),
        max(ncm, _agreement(predictions, wnids, predicted_N)),
        label_check.other_head_orders(head.out_features),
    )
    if check["labels_wrong"]:
        log.error("label check: %s", check["message"])
    elif check["matching_head_order"] or check["swapped_classes"]:
        log.warning("label check: %s", check["message"])
    votes = label_check.majority_votes(labels_N.tolist(), predicted_N)
    return {"classifier_head": {**accuracy, "ncm_to_head_ratio": ratio}, "label_check": check}, votes


def head_accuracy(
    head: nn.Module, order: Sequence[str], wnids: Sequence[str], source: EmbeddingSource
) -> tuple[dict[str, float], list[str], NDArray[np.int64]]:
    """Top-1 of the head, among all its classes and among those that have centers.

    Also the WNID that it predicts for each image, and the (N,) rows of the list of these images. order: the WNID of
    each output; wnids: the WNID of each class.
    """
    output_of = {wnid: output for output, wnid in enumerate(order)}
    outputs_K = torch.tensor([output_of[wnid] for wnid in wnids])
    hits, hits_among_centers, predicted, rows = 0, 0, list[str](), list[int]()
    with torch.inference_mode():
        for x_BD, classes_B, rows_B in source():
            logits_BC = head(x_BD.float())
            predicted_B = logits_BC.argmax(1)
            hits += int((predicted_B == outputs_K[classes_B]).sum())
            hits_among_centers += int((logits_BC[:, outputs_K].argmax(1) == classes_B).sum())
            predicted += [order[output] for output in predicted_B.tolist()]
            rows += rows_B.tolist()
    accuracy = {"top1": hits / len(rows), "top1_among_centers": hits_among_centers / len(rows)}
    return accuracy, predicted, np.array(rows, np.int64)


def _agreement(predictions: Mapping[str, Predictions], wnids: Sequence[str], predicted_N: Sequence[str]) -> float:
    """The fraction of images for which centers and head predict the same class, whatever the labels say.

    0 under leave-one-out, if it skipped images.
    """
    if len(predictions["euclidean"].nearest) != len(predicted_N):
        return 0.0
    by_head = np.array(predicted_N)
    return max(float(np.mean(np.array(wnids)[each.nearest] == by_head)) for each in predictions.values())
