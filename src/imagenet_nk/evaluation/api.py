"""Evaluation of saved centers from Python."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from imagenet_nk.backbones.model import Backbone
from imagenet_nk.centers.file import Centers, load_centers
from imagenet_nk.config.backbones import BackboneConfig, CentersConfig
from imagenet_nk.embedding.embed import embed_images
from imagenet_nk.embedding.labeled_images import Entries, LabeledImages, check_files, describe_empty
from imagenet_nk.embedding.run import EmbeddingConfig, make_runs
from imagenet_nk.errors import CentersError, ConfigError, ListError
from imagenet_nk.evaluation.saved_centers import evaluate_centers
from imagenet_nk.lists import list_file
from imagenet_nk.storage import files


def evaluate(
    centers: Centers | str | Path,
    images: str | Path | Sequence[tuple[str | Path, int]],
    *,
    cache: str | Path | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Nearest class mean accuracy of saved centers on images that they are not made of.

    images: a list file, or (path, label) pairs with the labels of the centers; images of other classes are left out.
    changes: fields of BackboneConfig that differ here, such as device="cuda" or checkpoint=FILE. The backbone is built
    as the centers' metadata say; embeddings are kept in `cache`, if given. CL2N is evaluated if the file has its means.

    `not_evaluated` counts images of other classes and unreadable ones, which `skipped` names. Raises CentersError if
    the weights are not those that made the centers, ListError and CentersError if no image can be evaluated.
    """
    centers = centers if isinstance(centers, Centers) else load_centers(centers)
    config = _changed(BackboneConfig(**json.loads(centers.metadata["backbone_config"])), changes)
    entries = _read_entries(images)
    with_centers = _of_classes(entries, set(centers.labels.tolist()))
    with tempfile.TemporaryDirectory() as folder:
        setting = EmbeddingConfig(config, CentersConfig(), Path(cache or folder), seed=int(centers.metadata["seed"]))
        runs = make_runs(setting, Path(folder))
        _check_weights(runs[0].plan.backbone, centers)
        (embeddings,) = embed_images(runs, [path for path, _ in with_centers])
        class_rows = {int(label): row for row, label in enumerate(centers.labels)}
        labeled = LabeledImages(entries, class_rows, embeddings)
        _, metrics = evaluate_centers(centers, labeled)
    if not metrics["images"]:
        reason = describe_empty(embeddings, [path for path, _ in with_centers])
        raise CentersError(f"{reason} (first: {with_centers[0][0]}): there is nothing to evaluate")
    return metrics


def _check_weights(backbone: Backbone, centers: Centers) -> None:
    if backbone.sha256 != centers.metadata["weights_sha256"]:
        raise CentersError(
            f"the weights of {backbone.name} are not those that made the centers "
            f"({centers.metadata['weights']}); give their file: checkpoint=FILE"
        )


def _changed(config: BackboneConfig, changes: dict[str, Any]) -> BackboneConfig:
    names = [field.name for field in dataclasses.fields(config)]
    if unknown := sorted(set(changes) - set(names)):
        raise ConfigError(f"evaluate() takes no {unknown[0]}=; beside cache= it takes {', '.join(names)}")
    return dataclasses.replace(config, **changes)


def _of_classes(entries: Entries, labels: Collection[int]) -> Entries:
    """The images whose class has a center. Raises ListError if there is none, or if none of their files exists."""
    if not entries:
        raise ListError("evaluate() was given no image: a list file, or (path, label) pairs")
    selected = [(path, label) for path, label in entries if label in labels]
    if not selected:
        raise ListError(
            f"none of the {len(entries)} images has a label of the centers ({min(labels)}..{max(labels)}; "
            f"first: {entries[0][1]} of {entries[0][0]}); give them the labels that the centers were made with"
        )
    check_files(selected)
    return selected


def _read_entries(images: str | Path | Sequence[tuple[str | Path, int]]) -> list[tuple[Path, int]]:
    if isinstance(images, str | Path):
        return [(list_file.resolve(images, entry), entry.label) for entry in list_file.read_list(images)]
    return [(files.resolve(path), label) for path, label in images]
