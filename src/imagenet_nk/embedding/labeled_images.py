"""The images of a list with their embeddings and the rows of their classes; checks of a list."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imagenet_nk.embedding.embeddings import NOT_FINITE, Embeddings
from imagenet_nk.errors import ListError
from imagenet_nk.storage.files import is_file

Entries = Sequence[tuple[Path, int]]  # path and label, as in the list file
BATCH_SIZE = 1024  # rows that are read at once


class Classes(Protocol):
    """The columns of a label map, aligned."""

    @property
    def wnids(self) -> Sequence[str]: ...
    @property
    def labels(self) -> Sequence[int]: ...
    @property
    def names(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class LabeledImages:
    """The N images of a list, and the row of each class that has a center."""

    entries: Entries
    class_rows: dict[int, int]  # label to row, sorted by label
    embeddings: Embeddings

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """(N,) as in the list."""
        return np.array([label for _, label in self.entries], np.int64)

    @property
    def rows_with_images(self) -> NDArray[np.int64]:
        """(R,) the rows of the classes that have an embedding, ascending."""
        has_embedding_N = self.embeddings.find([path for path, _ in self.entries]) >= 0
        rows_N = np.array([self.class_rows.get(label, -1) for label in self.labels.tolist()], np.int64)
        return np.unique(rows_N[has_embedding_N & (rows_N >= 0)])

    def batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """(B, D) embeddings, (B,) rows of their classes, (B,) rows of the list, in its order.

        Images without an embedding and those of other classes are left out.
        """
        classes_N = np.array([self.class_rows.get(label, -1) for _, label in self.entries], np.int64)
        rows_N = self.embeddings.find([path for path, _ in self.entries])
        for first in range(0, len(rows_N), BATCH_SIZE):
            end = first + BATCH_SIZE
            selected = np.flatnonzero((rows_N[first:end] >= 0) & (classes_N[first:end] >= 0)) + first
            if len(selected):
                x_BD = torch.from_numpy(self.embeddings.read(rows_N[selected]))
                yield x_BD, torch.from_numpy(classes_N[selected]), torch.from_numpy(selected)

    def pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches without the rows of the list."""
        return ((x_BD, classes_B) for x_BD, classes_B, _ in self.batches())


def check(entries: Entries, label_map: Classes, *, files_exist: bool = True) -> None:
    """Raise ListError for a list without entries, with labels that the map lacks, or none of whose files exists.

    files_exist: false if the files may still be collected.
    """
    if not entries:
        raise ListError(
            "the list has no entry: collect first (stages=[collect,lists]), or see classes.csv for the reasons"
        )
    labels = set(label_map.labels)
    for path, label in entries:
        if label not in labels:
            raise ListError(
                f"label {label} of {path} is outside the label map: none of its {len(labels)} labels "
                f"({min(labels)}..{max(labels)}); "
                "give the labels= and classes= that the list was written with"
            )
    if files_exist:
        check_files(entries)


def check_files(entries: Entries) -> None:
    """Raise ListError if none of the files exists."""
    if not any(is_file(path) for path, _ in entries):
        raise ListError(
            f"none of the {len(entries)} files of the list exists (first: {entries[0][0]}); collect them again"
        )


def describe_empty(embeddings: Embeddings, paths: Collection[Path]) -> str:
    """Why none of these images has an embedding."""
    reasons = [embeddings.skipped.get(path, "") for path in dict.fromkeys(paths)]
    broken = reasons.count(NOT_FINITE)
    if not broken:
        return "no image of the list could be read"
    rest = len(reasons) - broken
    return f"the embeddings of {broken} images are not finite" + (f", and {rest} could not be read" if rest else "")
