"""Judging saved centers from Python."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from imagenet_nk import lists, storage
from imagenet_nk.centers import verdict
from imagenet_nk.centers.file import Centers, load_centers
from imagenet_nk.centers.listed import Setting, listed
from imagenet_nk.centers.statistics import Mean, NormalizedMean
from imagenet_nk.config import BackboneConfig, CentersConfig, EvaluateConfig
from imagenet_nk.errors import CentersError


def evaluate(
    centers: Centers | str | Path,
    images: str | Path | Sequence[tuple[str | Path, int]],
    *,
    bootstrap: int = 1000,
    cache: str | Path | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Nearest class mean accuracy of saved centers on images that did not make them.

    images: a list file, or (path, label) pairs with the labels of the centers; images of other classes are left out.
    changes: fields of BackboneConfig that differ here, such as device="cuda" or checkpoint=FILE. The backbone is built
    as the centers' metadata say; embeddings are kept in `cache`, if given. CL2N is not judged: the file does not hold
    its origin. Raises CentersError where the weights are not those that made the centers.
    """
    centers = centers if isinstance(centers, Centers) else load_centers(centers)
    config = dataclasses.replace(BackboneConfig(**json.loads(centers.metadata["backbone_config"])), **changes)
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(config, CentersConfig(), Path(cache or folder), seed=int(centers.metadata["seed"]))
        embedder = setting.embedder(Path(folder))
        if embedder.built.sha256 != centers.metadata["weights_sha256"]:
            raise CentersError(
                f"the weights of {config.name} are not those that made the centers ({centers.metadata['weights']}); "
                "give their file: checkpoint=FILE"
            )
        rows = {int(label): row for row, label in enumerate(centers.labels)}
        asked = listed(_entries(images), rows, embedder)
        judged = verdict.judge_all(_means(centers), asked.batches, leave_one_out=False)
    judged.pop("cl2n")
    figures = verdict.ncm(judged, len(rows), EvaluateConfig(bootstrap=bootstrap), 0)
    return {"images": len(judged["euclidean"].ranks), "classes": len(rows), "ncm": figures}


def _means(centers: Centers) -> verdict.Means:
    classes, dim = centers.centers.shape
    plain, centred = Mean(classes, dim), NormalizedMean(classes, dim)
    plain.add(torch.from_numpy(centers.centers), torch.arange(classes))
    centred.add(torch.from_numpy(centers.centers), torch.arange(classes))
    return verdict.Means(plain, centred)


def _entries(images: str | Path | Sequence[tuple[str | Path, int]]) -> list[tuple[Path, int]]:
    if isinstance(images, str | Path):
        return [(lists.resolve(images, entry), entry.label) for entry in lists.read_list(images)]
    return [(storage.located(path), label) for path, label in images]
