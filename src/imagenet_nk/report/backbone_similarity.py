"""How alike the embeddings of a sweep's backbones are: linear CKA over the images that they have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imagenet_nk.centers.file import NAME, load_centers
from imagenet_nk.errors import ImageNetNkError
from imagenet_nk.lists import stage as listing
from imagenet_nk.preprocessing.cached_embeddings import CachedEmbeddings, find_cached
from imagenet_nk.report.run_data import read_yaml
from imagenet_nk.storage.files import local_dir_for, resolve, stat_many

if TYPE_CHECKING:
    from torch import Tensor

MAX_IMAGES = 2000  # evenly over the list; CKA over more hardly differs and takes quadratic time


@dataclass(frozen=True)
class _JobEmbeddings:
    list_sha256: str
    cached: CachedEmbeddings
    rows: NDArray[np.int64]  # of the sampled images of the list, -1 for one without an embedding


def linear_cka_between(sweep: Path, jobs: Sequence[str]) -> dict[str, dict[str, float]]:
    """By job and other job: linear CKA, for jobs over the same list whose embeddings were kept."""
    from imagenet_nk.evaluation.similarity import linear_cka  # torch, which a table alone does not need

    loaded = {job: found for job in jobs if (found := _load(sweep / job)) is not None}
    result: dict[str, dict[str, float]] = {job: {} for job in loaded}
    for job, own in loaded.items():
        for other, its in loaded.items():
            common = (own.rows >= 0) & (its.rows >= 0)
            if own.list_sha256 == its.list_sha256 and common.sum() > 1:
                result[job][other] = linear_cka(*_tensors(own, its, common)) if other != job else 1.0
    return result


def _tensors(own: _JobEmbeddings, other: _JobEmbeddings, common: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
    import torch

    return tuple(torch.from_numpy(each.cached.read(each.rows[common])) for each in (own, other))  # type: ignore[return-value]


def _load(job: Path) -> _JobEmbeddings | None:
    """What a job left; None where its centers, its list or its embeddings are not there any more."""
    hydra = job if (job / ".hydra").is_dir() else job.parent  # one of several backbones of a job
    settings: Mapping[str, object] = read_yaml(hydra / ".hydra" / "config.yaml", {}).get("dataset") or {}
    if not (job / NAME).is_file() or not settings.get("dir"):
        return None
    try:
        folder, state_dir = resolve(str(settings["dir"])), settings.get("state_dir")
        metadata = load_centers(job).metadata
        cached = find_cached([local_dir_for(folder, str(state_dir) if state_dir else None), hydra], metadata)
        if cached is None or metadata.get("list_sha256") != listing.digest(folder):
            return None
        entries = listing.read(folder).entries
    except (ImageNetNkError, OSError):
        return None
    chosen = np.unique(np.linspace(0, len(entries) - 1, min(len(entries), MAX_IMAGES)).astype(int))
    paths = [entries[index][0] for index in chosen]
    sizes = [status.size if status else -1 for status in stat_many(paths)]
    return _JobEmbeddings(metadata["list_sha256"], cached, cached.find(zip(paths, sizes, strict=True)))
