"""Lists of images as both stages see them: checked, numbered by class, and read as embeddings."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imagenet_nk.backbones.model import build
from imagenet_nk.config import BackboneConfig, CentersConfig
from imagenet_nk.embedding.embedder import NOT_FINITE, Embedder
from imagenet_nk.embedding.executor import Executor
from imagenet_nk.errors import ListError
from imagenet_nk.preprocessing.types import EmbeddingBatch
from imagenet_nk.storage.files import is_file

log = logging.getLogger(__name__)

Entries = Sequence[tuple[Path, int]]  # path and label, as in the list file


class Classes(Protocol):
    """What the stages need of a label map: three aligned columns."""

    @property
    def wnids(self) -> Sequence[str]: ...
    @property
    def labels(self) -> Sequence[int]: ...
    @property
    def names(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class LabeledImages:
    """Images of a list with the row of their class; K rows, one a class that has an image, sorted by label."""

    paths: list[Path]
    labels: NDArray[np.int64]  # (N,) as in the list
    rows: dict[int, int]  # label to row
    embedder: Embedder

    def batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """(B, D) embeddings, (B,) rows of their classes, (B,) rows of the list; without classes that have no center."""
        for part in self.embedder.stream(self.paths):
            yield from self.prepared(part)

    def pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The same without the rows of the list."""
        return ((x_BD, classes_B) for x_BD, classes_B, _ in self.batches())

    def prepared(self, part: EmbeddingBatch) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        classes_B = torch.tensor([self.rows.get(label, -1) for label in self.labels[part.rows].tolist()])
        known_B = classes_B >= 0
        if known_B.any():
            yield torch.from_numpy(part.embeddings)[known_B], classes_B[known_B], torch.from_numpy(part.rows)[known_B]


@dataclass(frozen=True)
class EmbeddingConfig:
    """What both stages are told beside the lists."""

    backbone: BackboneConfig
    centers: CentersConfig = field(default_factory=CentersConfig)
    cache: Path | None = None  # folder of embeddings that outlives the run; None = the output folder
    seed: int = 0  # of random weights, intervals and divisions
    crew: Executor | None = None  # who runs the model; None = this process

    def embedder(self, output: Path) -> Embedder:
        """The backbone, built, with the embeddings that it gave in earlier runs."""
        built, folder = build(self.backbone, self.seed), self.cache or output
        if built.weights.startswith("random:"):
            log.warning(
                "backbone %s: random weights (%s): results are meaningless, for trying the program only",
                *(built.name, built.weights),
            )
        return Embedder(built, self.backbone, self.centers, folder, self.crew, self.seed)


def check(entries: Entries, label_map: Classes, *, files: bool = True) -> None:
    """Raise ListError for a list without entries, with labels that the map lacks, or whose files have all gone.

    files: false where they may still be to come.
    """
    if not entries:
        raise ListError(
            "the list has no entry: collect first (stages=[collect,lists]), or see classes.csv for the reasons"
        )
    known = set(label_map.labels)
    for path, label in entries:
        if label not in known:
            raise ListError(
                f"label {label} of {path} is outside the label map: none of its {len(known)} labels "
                f"({min(known)}..{max(known)}); "
                "give the labels= and classes= that the list was written with"
            )
    if files:
        check_files(entries)


def check_files(entries: Entries) -> None:
    """Raise ListError if none of the files is there."""
    if not any(is_file(path) for path, _ in entries):
        raise ListError(
            f"none of the {len(entries)} files of the list is there (first: {entries[0][0]}); collect them again"
        )


def none_embedded(embedder: Embedder) -> str:
    """Why no image of a list has an embedding."""
    reasons = [fault.reason for fault in embedder.faults.values()]
    broken = reasons.count(NOT_FINITE)
    if not broken:
        return "no image of the list could be read"
    rest = len(reasons) - broken
    return f"the embeddings of {broken} images are not finite" + (f", and {rest} could not be read" if rest else "")


def listed(entries: Entries, rows: dict[int, int], embedder: Embedder) -> LabeledImages:
    return LabeledImages(
        [path for path, _ in entries], np.array([label for _, label in entries], np.int64), rows, embedder
    )
