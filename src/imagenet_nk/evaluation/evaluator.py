"""The evaluation of one set of centers: all that metrics.json says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from imagenet_nk.config.backbones import EvaluateConfig
from imagenet_nk.evaluation import metrics
from imagenet_nk.evaluation import ncm as evaluation
from imagenet_nk.evaluation.ncm import Predictions
from imagenet_nk.statistics.streaming import Mean, NormalizedMean, l2_normalize

DISTANCES = ("euclidean", "cosine", "cl2n")
EmbeddingSource = Callable[
    [], Iterator[tuple[Tensor, Tensor, Tensor]]
]  # (B, D) embeddings, (B,) classes, (B,) rows of the list


@dataclass(frozen=True)
class ClassMeans:
    """What a nearest-class-mean classifier knows: plain means, and CL2N's, of the images that make the centers."""

    plain: Mean
    centred: NormalizedMean

    @classmethod
    def of(cls, reading: EmbeddingSource, classes: int, dim: int, plain: Mean | None = None) -> ClassMeans:
        """`plain`: the means, if they are known: where embeddings are not kept, a reading is a forward pass."""
        if plain is None:
            plain = Mean(classes, dim)
            for x_BD, classes_B, _ in reading():
                plain.add(x_BD, classes_B)
        centred = NormalizedMean(classes, dim, plain.grand_mean())
        for x_BD, classes_B, _ in reading():
            centred.add(x_BD, classes_B)
        return cls(plain, centred)


def evaluate_distances(means: ClassMeans, reading: EmbeddingSource, leave_one_out: bool) -> dict[str, Predictions]:
    """Every image of the reading under every distance; under leave-one-out those alone in their class are left out."""
    counts_K = means.plain.counts_K
    parts: dict[str, list[Predictions]] = {name: [] for name in DISTANCES}
    for x_BD, classes_B, _ in reading():
        if leave_one_out:
            several_B = counts_K[classes_B] >= 2
            x_BD, classes_B = x_BD[several_B], classes_B[several_B]
        left_out = counts_K if leave_one_out else None
        plain, centred = means.plain.result(), means.centred.result()
        for name, x, mean, distance in (
            ("euclidean", x_BD, plain, evaluation.euclidean),
            ("cosine", x_BD, plain, evaluation.cosine),
            ("cl2n", l2_normalize(x_BD, means.centred.origin), centred, evaluation.euclidean),
        ):
            parts[name].append(evaluation.classify(x, classes_B, mean, distance, left_out))
    return {name: _concatenate(judged) for name, judged in parts.items()}


def ncm(judged: dict[str, Predictions], classes: int, settings: EvaluateConfig, seed: int) -> dict[str, Any]:
    """Accuracy under each distance, with confidence intervals."""
    return {name: metrics.topk_accuracy(each, classes, settings.bootstrap, seed) for name, each in judged.items()}


def random_splits(
    reading: EmbeddingSource, classes: int, dim: int, settings: EvaluateConfig, seed: int
) -> dict[str, Any]:
    """Top-1 over random divisions of the images: `share` of each class, at least one, is judged by the rest."""
    values: dict[str, list[float]] = {name: [] for name in DISTANCES}
    seeds = range(seed, seed + settings.random_splits)
    for each in seeds:
        judged_rows = _draw_test_rows(reading, settings.test_fraction, each)
        makes, asks = _subset(reading, judged_rows, False), _subset(reading, judged_rows, True)
        for name, judged in evaluate_distances(ClassMeans.of(makes, classes, dim), asks, False).items():
            values[name].append(judged.top(1))
    return {
        "seeds": list(seeds),
        "share": settings.test_fraction,
        **{name: _mean_and_std(top1) for name, top1 in values.items()},
    }


def _mean_and_std(top1: list[float]) -> dict[str, Any]:
    deviation = float(np.std(top1, ddof=1)) if len(top1) > 1 else None
    return {"mean": float(np.mean(top1)), "std": deviation, "values": top1}


def head_accuracy(
    head: nn.Module, order: Sequence[str], wnids: Sequence[str], reading: EmbeddingSource
) -> tuple[dict[str, Any], list[str], NDArray[np.int64]]:
    """The classifier's accuracy on the images, among all its classes and among those that have centers.

    Also the WNID that it gives each image, and the (N,) rows of the list that these are, in the order of the reading.
    `order` names its outputs, `wnids` the rows.
    """
    place = {wnid: index for index, wnid in enumerate(order)}
    columns = torch.tensor([place[wnid] for wnid in wnids])
    right_all, right_some, said, rows = 0, 0, list[str](), list[int]()
    with torch.inference_mode():
        for x_BD, classes_B, rows_B in reading():
            rows += rows_B.tolist()
            logits_BC = head(x_BD.float())
            best_B = logits_BC.argmax(1)
            said += [order[index] for index in best_B.tolist()]
            right_all += int((best_B == columns[classes_B]).sum())
            right_some += int((logits_BC[:, columns].argmax(1) == classes_B).sum())
    figures = {"top1": right_all / len(said), "top1_among_centers": right_some / len(said)}
    return figures, said, np.array(rows, np.int64)


def _concatenate(parts: Sequence[Predictions]) -> Predictions:
    columns = [[getattr(part, name) for part in parts] for name in ("classes", "ranks", "nearest")]
    return Predictions(*(np.concatenate(column) if column else np.empty(0, np.int64) for column in columns))


def _draw_test_rows(reading: EmbeddingSource, share: float, seed: int) -> Tensor:
    """Rows that a division judges: of every class with two images or more, share of them and at least one."""
    pairs = [(classes_B, rows_B) for _, classes_B, rows_B in reading()]
    classes_N, rows_N = torch.cat([pair[0] for pair in pairs]), torch.cat([pair[1] for pair in pairs])
    rng = np.random.default_rng(seed)
    drawn = []
    for k in classes_N.unique().tolist():
        own = rows_N[classes_N == k].numpy()
        count = min(max(1, round(share * len(own))), len(own) - 1)
        drawn.append(rng.permutation(own)[:count])
    return torch.from_numpy(np.concatenate(drawn))


def _subset(reading: EmbeddingSource, rows: Tensor, inside: bool) -> EmbeddingSource:
    def part() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for x_BD, classes_B, rows_B in reading():
            chosen_B = torch.isin(rows_B, rows) == inside
            yield x_BD[chosen_B], classes_B[chosen_B], rows_B[chosen_B]

    return part
