"""Few-shot accuracy: classifiers fitted on a few random images of each class, over several draws.

Letters: N images, K classes, D embedding size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from imagenet_nk.evaluation.heads.classifiers import CLASSIFIERS
from imagenet_nk.evaluation.metrics import mean_and_std


@dataclass(frozen=True)
class EmbeddedImages:
    """Embeddings in memory, with the class of each."""

    embeddings: Tensor  # (N, D)
    classes: Tensor  # (N,) int64, 0..K-1

    def __len__(self) -> int:
        return len(self.classes)

    def take(self, rows: Tensor) -> EmbeddedImages:
        """Some of the images, in the order of `rows`."""
        return EmbeddedImages(self.embeddings[rows], self.classes[rows])


class Division(NamedTuple):
    """Training and test images of one draw, over the classes that have enough images."""

    train: EmbeddedImages
    test: EmbeddedImages
    classes: Tensor  # (C,) the eligible classes; the images' classes count among these


def few_shot_table(
    images: EmbeddedImages,
    held_out: EmbeddedImages | None,
    wnids: Sequence[str],
    *,
    shots: Sequence[int],
    seeds: Sequence[int],
    heads: Sequence[str],
) -> dict[str, Any]:
    """Top-1 of each head at each number of shots: mean and standard deviation over the seeds.

    Every seed shuffles the images of each class; the first `shots` of them are for training, so fewer shots are a
    subset of more. Tested are the held-out images, or where there are none the images behind the largest number of
    shots, at least one of each class: the same ones at every number of shots. A class with too few images for a row is
    left out of it and named in `excluded`. `wnids`: of the classes, (K,).
    """
    rows = []
    for count in sorted(set(shots)):
        values: dict[str, list[float]] = {head: [] for head in heads}
        division = None
        for seed in seeds:
            division = divide(images, held_out, count, max(shots), len(wnids), seed)
            for head in heads if len(division.test) else ():
                values[head].append(_top1(head, division))
        rows += [_row(head, count, values[head], division, wnids) for head in heads]
    return {"seeds": list(seeds), "test_images": "held-out" if held_out is not None else "random split", "rows": rows}


def divide(
    images: EmbeddedImages, held_out: EmbeddedImages | None, shots: int, most_shots: int, classes: int, seed: int
) -> Division:
    """Images for training and test; the draw of a class depends on the seed and that class alone."""
    train, test, eligible = [], [], []
    for k in range(classes):
        shuffled = _shuffled(images, k, seed)
        reserved = 0 if held_out is not None else max(len(shuffled) - most_shots, 1)
        if len(shuffled) - reserved < shots:
            continue
        eligible.append(k)
        train.append(shuffled[:shots])
        test.append(shuffled[len(shuffled) - reserved :])
    chosen = torch.tensor(eligible, dtype=torch.int64)
    tested = images.take(_joined(test)) if held_out is None else held_out.take(_of_classes(held_out, chosen))
    return Division(_renumbered(images.take(_joined(train)), chosen), _renumbered(tested, chosen), chosen)


def split_by_fraction(images: EmbeddedImages, fraction: float, seed: int) -> tuple[EmbeddedImages, EmbeddedImages]:
    """Training and test images: of every class with two images or more a random fraction is for the test.

    At least one and not all of a class; the draw of a class depends on the seed and that class alone.
    """
    train, test = [], []
    for k in images.classes.unique().tolist():
        shuffled = _shuffled(images, k, seed)
        count = min(max(1, round(fraction * len(shuffled))), len(shuffled) - 1)
        test.append(shuffled[:count])
        train.append(shuffled[count:])
    return images.take(_joined(train)), images.take(_joined(test))


def evaluate_heads(
    images: EmbeddedImages,
    held_out: EmbeddedImages | None,
    classes: int,
    heads: Sequence[str],
    seeds: Sequence[int],
    fraction: float,
) -> dict[str, Any]:
    """Top-1 of each head, fitted on all images and tested on the held-out ones, or on random splits over the seeds."""
    splits = [(images, held_out)] if held_out is not None else [split_by_fraction(images, fraction, s) for s in seeds]
    result: dict[str, Any] = {
        "test_images": "held-out" if held_out is not None else "random split",
        "seeds": [] if held_out is not None else list(seeds),
    }
    for head in heads:
        values = [_top1(head, _division(train, test, classes)) for train, test in splits if len(test)]
        result[head] = mean_and_std(values)
    return result


def _division(train: EmbeddedImages, test: EmbeddedImages, classes: int) -> Division:
    filled = torch.arange(classes)[torch.bincount(train.classes, minlength=classes) > 0]
    tested = test.take(_of_classes(test, filled))
    return Division(_renumbered(train, filled), _renumbered(tested, filled), filled)


def _shuffled(images: EmbeddedImages, k: int, seed: int) -> Tensor:
    """The rows of a class in the random order of a seed."""
    positions = (images.classes == k).nonzero().flatten()
    return positions[torch.from_numpy(np.random.default_rng((seed, k)).permutation(len(positions)))]


def _of_classes(images: EmbeddedImages, classes: Tensor) -> Tensor:
    return torch.isin(images.classes, classes).nonzero().flatten()


def _joined(rows: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(rows)) if rows else torch.empty(0, dtype=torch.int64)


def _renumbered(images: EmbeddedImages, classes: Tensor) -> EmbeddedImages:
    """The same images with classes counted among `classes`, which are sorted."""
    return EmbeddedImages(images.embeddings, torch.searchsorted(classes, images.classes))


def _top1(head: str, division: Division) -> float:
    train, test, classes = division
    scores_MC = CLASSIFIERS[head](train.embeddings, train.classes, len(classes), test.embeddings)
    return float((scores_MC.argmax(1) == test.classes).double().mean())


def _row(
    head: str, shots: int, values: Sequence[float], division: Division | None, wnids: Sequence[str]
) -> Mapping[str, Any]:
    eligible = set(division.classes.tolist()) if division else set()
    return {
        "head": head,
        "shots": shots,
        **mean_and_std(values),
        "images": len(division.test) if division else 0,
        "classes": len(eligible),
        "excluded": [wnid for k, wnid in enumerate(wnids) if k not in eligible],
    }
