"""Nearest class mean classification of many embeddings, over distances and over random splits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from imagenet_nk.config.backbones import EvaluateConfig
from imagenet_nk.evaluation import metrics
from imagenet_nk.evaluation.ncm import Predictions, classify, cosine, euclidean
from imagenet_nk.statistics.streaming import Mean, NormalizedMean, l2_normalize

DISTANCES = ("euclidean", "cosine", "cl2n")
# Starts a pass over the embeddings: (B, D) embeddings, (B,) classes, (B,) rows of the list.
EmbeddingSource = Callable[[], Iterator[tuple[Tensor, Tensor, Tensor]]]


@dataclass(frozen=True)
class ClassMeans:
    """The parameters of a nearest class mean classifier: plain means, and those of CL2N (see NormalizedMean)."""

    plain: Mean
    centred: NormalizedMean

    @classmethod
    def of(cls, source: EmbeddingSource, classes: int, dim: int) -> ClassMeans:
        """The means of the embeddings, in two passes."""
        plain = Mean(classes, dim)
        for x_BD, classes_B, _ in source():
            plain.add(x_BD, classes_B)
        centred = NormalizedMean(classes, dim, plain.grand_mean())
        for x_BD, classes_B, _ in source():
            centred.add(x_BD, classes_B)
        return cls(plain, centred)


def evaluate_distances(means: ClassMeans, source: EmbeddingSource, leave_one_out: bool) -> dict[str, Predictions]:
    """The predictions for every image under each distance; leave_one_out skips classes of a single image."""
    counts_K = means.plain.counts_K
    plain_KD, centred_KD = means.plain.result(), means.centred.result()
    parts: dict[str, list[Predictions]] = {name: [] for name in DISTANCES}
    for x_BD, classes_B, _ in source():
        if leave_one_out:
            has_others_B = counts_K[classes_B] >= 2
            x_BD, classes_B = x_BD[has_others_B], classes_B[has_others_B]
        for name, embeddings_BD, means_KD, distance in (
            ("euclidean", x_BD, plain_KD, euclidean),
            ("cosine", x_BD, plain_KD, cosine),
            ("cl2n", l2_normalize(x_BD, means.centred.origin), centred_KD, euclidean),
        ):
            counts = counts_K if leave_one_out else None
            parts[name].append(classify(embeddings_BD, classes_B, means_KD, distance, counts))
    return {name: _concatenate(predictions) for name, predictions in parts.items()}


def ncm(predictions: Mapping[str, Predictions], classes: int) -> dict[str, Any]:
    """Accuracy under each distance, with confidence intervals."""
    return {name: metrics.topk_accuracy(each, classes) for name, each in predictions.items()}


def random_splits(
    source: EmbeddingSource, classes: int, dim: int, settings: EvaluateConfig, seed: int
) -> dict[str, Any]:
    """Top-1 over random splits of the images: test_fraction of each class, at least one, is classified by the rest."""
    values: dict[str, list[float]] = {name: [] for name in DISTANCES}
    seeds = range(seed, seed + settings.random_splits)
    for split_seed in seeds:
        test_rows = _draw_test_rows(source, settings.test_fraction, split_seed)
        if not len(test_rows):  # every class has a single image
            continue
        train, test = _subset(source, test_rows, False), _subset(source, test_rows, True)
        for name, predictions in evaluate_distances(ClassMeans.of(train, classes, dim), test, False).items():
            values[name].append(predictions.top(1))
    return {
        "seeds": list(seeds),
        "images": len(test_rows),
        "share": settings.test_fraction,
        **{name: metrics.mean_and_std(top1) for name, top1 in values.items()},
    }


def _concatenate(parts: Sequence[Predictions]) -> Predictions:
    columns = [[getattr(part, name) for part in parts] for name in ("classes", "ranks", "nearest")]
    return Predictions(*(np.concatenate(column) if column else np.empty(0, np.int64) for column in columns))


def _draw_test_rows(source: EmbeddingSource, fraction: float, seed: int) -> Tensor:
    """Random rows of the list: of every class with two images or more, a fraction of them, at least one and not all."""
    batches = [(classes_B, rows_B) for _, classes_B, rows_B in source()]
    classes_N, rows_N = (torch.cat(column) for column in zip(*batches, strict=True))
    rng = np.random.default_rng(seed)
    test_rows = []
    for k in classes_N.unique().tolist():
        class_rows = rows_N[classes_N == k].numpy()
        count = min(max(1, round(fraction * len(class_rows))), len(class_rows) - 1)
        test_rows.append(rng.permutation(class_rows)[:count])
    return torch.from_numpy(np.concatenate(test_rows))


def _subset(source: EmbeddingSource, rows: Tensor, inside: bool) -> EmbeddingSource:
    """The images in the given rows, or those outside them."""

    def batches() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for x_BD, classes_B, rows_B in source():
            mask_B = torch.isin(rows_B, rows) == inside
            yield x_BD[mask_B], classes_B[mask_B], rows_B[mask_B]

    return batches
