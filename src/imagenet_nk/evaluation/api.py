"""Judging saved centers from Python."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from imagenet_nk.centers.file import Centers, load_centers
from imagenet_nk.config import BackboneConfig, CentersConfig, EvaluateConfig
from imagenet_nk.embedding.dataset import EmbeddingConfig, Entries, check_files, listed, none_embedded
from imagenet_nk.embedding.embedder import Embedder
from imagenet_nk.errors import CentersError, ConfigError, ListError
from imagenet_nk.evaluation import evaluator
from imagenet_nk.lists import list_file
from imagenet_nk.statistics.streaming import Mean, NormalizedMean
from imagenet_nk.storage import files


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
    as the centers' metadata say; embeddings are kept in `cache`, if given. CL2N is judged if the file has its means.

    `not_evaluated` counts images of other classes and unreadable ones, which `skipped` names. Raises CentersError where
    the weights are not those that made the centers, ListError and CentersError where nothing is left to judge.
    """
    centers = centers if isinstance(centers, Centers) else load_centers(centers)
    config = _changed(BackboneConfig(**json.loads(centers.metadata["backbone_config"])), changes)
    rows = {int(label): row for row, label in enumerate(centers.labels)}
    given = _entries(images)
    entries = _of_classes(given, rows)
    with tempfile.TemporaryDirectory() as folder:
        setting = EmbeddingConfig(config, CentersConfig(), Path(cache or folder), seed=int(centers.metadata["seed"]))
        embedder = setting.embedder(Path(folder))
        _check_weights(embedder, centers)
        asked = listed(entries, rows, embedder)
        judged = evaluator.evaluate_distances(_means(centers), asked.batches, leave_one_out=False)
    count = len(judged["euclidean"].ranks)
    if not count:
        raise CentersError(f"{none_embedded(embedder)} (first: {entries[0][0]}): there is nothing to judge")
    if not centers.has_cl2n:
        judged.pop("cl2n")
    return {
        "images": count,
        "not_evaluated": len(given) - count,
        "skipped": embedder.skipped,
        "classes": len(rows),
        "ncm": evaluator.ncm(judged, len(rows), EvaluateConfig(bootstrap=bootstrap), 0),
    }


def _check_weights(embedder: Embedder, centers: Centers) -> None:
    if embedder.built.sha256 != centers.metadata["weights_sha256"]:
        raise CentersError(
            f"the weights of {embedder.built.name} are not those that made the centers "
            f"({centers.metadata['weights']}); give their file: checkpoint=FILE"
        )


def _changed(config: BackboneConfig, changes: dict[str, Any]) -> BackboneConfig:
    known = [field.name for field in dataclasses.fields(config)]
    if unknown := sorted(set(changes) - set(known)):
        raise ConfigError(
            f"evaluate() takes no {unknown[0]}=; beside bootstrap= and cache= it takes {', '.join(known)}"
        )
    return dataclasses.replace(config, **changes)


def _of_classes(entries: Entries, rows: dict[int, int]) -> Entries:
    """Those whose class has a center. Raises ListError where there is none, or all their files have gone."""
    if not entries:
        raise ListError("evaluate() was given no image: a list file, or (path, label) pairs")
    known = [(path, label) for path, label in entries if label in rows]
    if not known:
        raise ListError(
            f"none of the {len(entries)} images has a label of the centers ({min(rows)}..{max(rows)}; "
            f"first: {entries[0][1]} of {entries[0][0]}); give them the labels that the centers were made with"
        )
    check_files(known)
    return known


def _means(centers: Centers) -> evaluator.ClassMeans:
    classes, dim = centers.centers.shape
    plain, centred = Mean(classes, dim), NormalizedMean(classes, dim)
    if centers.has_cl2n:
        centred.origin = torch.from_numpy(centers.extras["cl2n_origin"]).double()
    for mean, values_KD in ((plain, centers.centers), (centred, centers.extras.get("cl2n", centers.centers))):
        Mean.add(mean, torch.from_numpy(values_KD), torch.arange(classes))  # they are normalised already
    return evaluator.ClassMeans(plain, centred)


def _entries(images: str | Path | Sequence[tuple[str | Path, int]]) -> list[tuple[Path, int]]:
    if isinstance(images, str | Path):
        return [(list_file.resolve(images, entry), entry.label) for entry in list_file.read_list(images)]
    return [(files.resolve(path), label) for path, label in images]
