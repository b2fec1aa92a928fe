"""Maps, similarities and outlier scores from the centers and cached embeddings of a run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imagenet_nk.centers.file import Centers
from imagenet_nk.lists import list_file
from imagenet_nk.preprocessing.cached_embeddings import find_cached
from imagenet_nk.report.analysis import outliers, projections
from imagenet_nk.report.analysis.outliers import OutlierScores
from imagenet_nk.report.analysis.projections import Matrix
from imagenet_nk.report.run_data import RunData
from imagenet_nk.storage import files

MATRIX_UP_TO = 1200  # classes; a larger similarity matrix would make the page too heavy
_TSNE_FROM, _TSNE_UP_TO = 20, 2000  # fewer classes need no map of neighbourhoods; more take minutes


@dataclass(frozen=True)
class ClassMap:
    """The classes that have a center, M of them, in the order of `rows`."""

    rows: list[int]  # class rows of the data
    pca: Matrix  # (M, 2)
    explained: Matrix  # (2,) share of the variance on each axis
    tsne: Matrix | None  # (M, 2)
    similarity: Matrix | None  # (M, M) cosine
    order: list[int]  # of the matrix, like beside like; empty without a matrix
    nearest: list[int]  # (M,) place in `rows` of the nearest other class; -1 where there is no other
    nearest_cosine: list[float | None]


@dataclass(frozen=True)
class Analysis:
    """All that was computed; without centers, or without their embeddings, parts are None."""

    class_map: ClassMap | None
    images: OutlierScores | None


def analyse(data: RunData) -> Analysis:
    """Compute maps, similarities and distances."""
    if data.centers is None:
        return Analysis(None, None)
    place = {wnid: row for row, wnid in enumerate(data.classes["wnid"])}
    pairs = [(place[wnid], index) for index, wnid in enumerate(data.centers.wnids) if wnid in place]
    if not pairs:
        return Analysis(None, None)
    rows = [row for row, _ in pairs]
    vectors = data.centers.centers[[index for _, index in pairs]]
    counts = data.centers.counts[[index for _, index in pairs]]
    return Analysis(_class_map(rows, vectors), _outlier_scores(data, data.centers, rows, vectors, counts))


def _class_map(rows: list[int], vectors: NDArray[np.float32]) -> ClassMap:
    count = len(rows)
    pca, explained = projections.pca(vectors)
    nearest, cosine = _nearest(vectors)
    similarity = projections.cosines(vectors) if 1 < count <= MATRIX_UP_TO else None
    return ClassMap(
        rows=rows,
        pca=pca,
        explained=explained,
        tsne=projections.tsne(vectors) if _TSNE_FROM <= count <= _TSNE_UP_TO else None,
        similarity=similarity,
        order=projections.leaf_order(similarity) if similarity is not None else [],
        nearest=nearest,
        nearest_cosine=cosine,
    )


def _nearest(vectors: NDArray[np.float32], batch: int = 1024) -> tuple[list[int], list[float | None]]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    if len(unit) < 2:
        return [-1] * len(unit), [None] * len(unit)
    best, value = list[int](), list[float | None]()
    for first in range(0, len(unit), batch):
        cosines = unit[first : first + batch] @ unit.T
        cosines[np.arange(len(cosines)), np.arange(first, first + len(cosines))] = -np.inf
        best += cosines.argmax(axis=1).tolist()
        value += cosines.max(axis=1).tolist()
    return best, value


def _outlier_scores(
    data: RunData, centers: Centers, rows: Sequence[int], vectors: NDArray[np.float32], counts: NDArray[np.int64]
) -> OutlierScores | None:
    kept = find_cached([data.home, data.run], centers.metadata)
    if kept is None or kept.dim != vectors.shape[1] or not len(data.images):
        return None
    splits = data.images["split"].to_numpy()
    return outliers.outlier_scores(
        kept,
        kept.find(zip(image_paths(data), data.images["bytes"].tolist(), strict=True)),
        data.images["row"].to_numpy(np.int64),
        splits == ("train" if (splits == "train").any() else "eval"),
        dict(zip(rows, vectors, strict=True)),
        dict(zip(rows, counts.tolist(), strict=True)),
    )


def image_paths(data: RunData) -> list[Path]:
    """The files of the kept images, in manifest order."""
    if files.is_remote(data.folder):
        return [list_file.resolve(data.folder / "eval.txt", list_file.Entry(path, 0)) for path in data.images["path"]]
    root = os.fspath(data.folder)
    return [Path(root, path) for path in data.images["path"]]
