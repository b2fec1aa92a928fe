"""Evaluation of centers, for both the stage `evaluate` and `imagenet_nk.evaluate`."""

from __future__ import annotations

from typing import Any

import torch

from imagenet_nk.centers.file import Centers
from imagenet_nk.embedding.labeled_images import LabeledImages
from imagenet_nk.evaluation import evaluator
from imagenet_nk.evaluation.ncm import Predictions
from imagenet_nk.statistics.streaming import Mean, NormalizedMean


def evaluate_centers(
    centers: Centers, images: LabeledImages, *, leave_one_out: bool = False
) -> tuple[dict[str, Predictions], dict[str, Any]]:
    """The predictions for the images under each distance, and their figures as metrics.json has them.

    leave_one_out: the images are those that the centers are made of; each is left out of its own center.
    """
    predictions = evaluator.evaluate_distances(class_means(centers), images.batches, leave_one_out)
    if not centers.has_cl2n:
        del predictions["cl2n"]
    count = len(predictions["euclidean"].ranks)
    return predictions, {
        "classes": len(centers),
        "images": count,
        "not_evaluated": len(images.entries) - count,
        "skipped": images.embeddings.describe_skipped(),
        "ncm": evaluator.ncm(predictions, len(centers)),
    }


def class_means(centers: Centers) -> evaluator.ClassMeans:
    """The means of a file for a nearest class mean classifier; the plain means stand in for CL2N's if it has none."""
    origin_D = torch.from_numpy(centers.extras.get("cl2n_origin", centers.centers[0])).double()
    classes, dim = centers.centers.shape
    plain, centred = Mean(classes, dim), NormalizedMean(classes, dim, origin_D)
    counts_K = torch.from_numpy(centers.counts)
    for mean, values_KD in ((plain, centers.centers), (centred, centers.extras.get("cl2n", centers.centers))):
        mean.sums_KD = torch.from_numpy(values_KD).double() * counts_K[:, None]
        mean.counts_K = counts_K
    return evaluator.ClassMeans(plain, centred)
