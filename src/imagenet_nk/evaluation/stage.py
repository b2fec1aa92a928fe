"""The stage `evaluate`, which writes metrics.json."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch

from imagenet_nk.centers.file import Centers
from imagenet_nk.centers.stage import BackboneCenters
from imagenet_nk.config.backbones import EvaluateConfig
from imagenet_nk.embedding.embeddings import Embeddings
from imagenet_nk.embedding.labeled_images import Classes, Entries, LabeledImages, check
from imagenet_nk.errors import ListError
from imagenet_nk.evaluation import evaluator
from imagenet_nk.evaluation.heads.in_memory import heads_and_shots, ood_scores
from imagenet_nk.evaluation.label_check.head import MajorityVotes, evaluate_head
from imagenet_nk.evaluation.metrics import confusion_pairs, per_class_accuracy
from imagenet_nk.evaluation.ncm import Predictions
from imagenet_nk.evaluation.saved_centers import evaluate_centers
from imagenet_nk.evaluation.similarity import within_between_ratio
from imagenet_nk.lists import list_file
from imagenet_nk.lists.overlap import find_overlap
from imagenet_nk.storage.files import is_file, write_text
from imagenet_nk.version import __version__

log = logging.getLogger(__name__)


def label_check_warnings(metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line for each run whose labels are wrong, for all classes or for some."""
    checks = [(each["backbone"], each["label_check"]) for each in metrics if each["label_check"]]
    wrong = [(name, check) for name, check in checks if check["labels_wrong"] or check["swapped_classes"]]
    return [f"{name}: {check['message']}" for name, check in wrong]


def evaluate_all(
    computed: Sequence[BackboneCenters],
    entries: Entries,
    label_map: Classes,
    *,
    held_out: Entries = (),
    outside: Sequence[Path] = (),
    settings: EvaluateConfig | None = None,
) -> list[dict[str, Any]]:
    """Write metrics.json for every backbone: how well the centers of `entries` separate their classes.

    On the `held_out` images if there are any, else leave-one-out. `outside`: images of no class. Raises ListError.
    """
    settings = settings or EvaluateConfig()
    if held_out:
        check(held_out, label_map)
    return [_evaluate(each, entries, held_out, outside, label_map, settings) for each in computed]


METRICS = "metrics.json"


def _evaluate(
    computed: BackboneCenters,
    entries: Entries,
    held_out: Entries,
    outside: Sequence[Path],
    label_map: Classes,
    settings: EvaluateConfig,
) -> dict[str, Any]:
    metrics = _metrics(computed, entries, held_out, outside, label_map, settings)
    write_text(computed.run.output / METRICS, json.dumps(metrics, indent=1, allow_nan=False) + "\n")
    top1 = {name: figure["top1"]["value"] for name, figure in metrics["ncm"].items() if figure["top1"]}
    accuracies = ", ".join(f"{name} {value:.4f}" for name, value in top1.items())
    result = f"top-1: {accuracies}" if accuracies else _why_empty(metrics)
    log.info("%s: %s nearest class mean, %s", metrics["backbone"], metrics["protocol"], result)
    return metrics


def load_eval_list(settings: EvaluateConfig, label_map: Classes, *, files_exist: bool = True) -> Entries:
    """The images of settings.list; none without one. Raises ListError as `check` does."""
    if settings.list is None:
        return []
    entries = [(list_file.resolve(settings.list, entry), entry.label) for entry in list_file.read_list(settings.list)]
    labels = set(label_map.labels)
    own = [entry for entry in entries if entry[1] in labels]
    if files_exist and 0 < len(own) < len(entries):
        log.info(
            "evaluate.list: %d of %d images are of other classes and left out", len(entries) - len(own), len(entries)
        )
    entries = own or entries
    try:
        check(entries, label_map, files_exist=files_exist)
    except ListError as error:
        raise ListError(f"evaluate.list={settings.list}: {error}") from error
    return entries


def load_ood_list(settings: EvaluateConfig) -> list[Path]:
    """The images of settings.ood: a list file, whose labels are not used, or one path a line. Raises ListError."""
    if settings.ood is None:
        return []
    images = list_file.read_paths(settings.ood)
    if not any(is_file(path) for path in images):
        raise ListError(f"evaluate.ood={settings.ood}: none of its {len(images)} files exists (first: {images[0]})")
    return images


def refuse_overlap(key: str, images: Sequence[Path], others: Sequence[Path]) -> None:
    """Raise ListError if images that an evaluation needs unseen are among the data set's own, by path or content."""
    if overlap := find_overlap(images, others):
        raise ListError(
            f"{key}: {len(overlap)} of its {len(images)} images are among those of the data set (first: {overlap[0]}), "
            "by path or by content; leave them out of the list"
        )


def _metrics(
    computed: BackboneCenters,
    entries: Entries,
    held_out: Entries,
    outside: Sequence[Path],
    label_map: Classes,
    settings: EvaluateConfig,
) -> dict[str, Any]:
    """The content of metrics.json."""
    centers, embeddings, seed = computed.centers, computed.embeddings, computed.run.config.seed
    plan, rows = embeddings.plan, {int(label): row for row, label in enumerate(centers.labels)}
    images = LabeledImages(held_out or entries, rows, embeddings)
    predictions, figures = evaluate_centers(centers, images, leave_one_out=not held_out)
    head, votes = evaluate_head(
        plan.backbone.head,
        images,
        label_map,
        is_published=plan.backbone.weights.startswith("hub:"),
        ncm_top1=max(each.top(1) for each in predictions.values()) if figures["images"] else None,
        ncm_classes=np.unique(predictions["euclidean"].classes),
    )
    pooled = LabeledImages([*entries, *held_out], rows, embeddings)
    labeled = LabeledImages(entries, rows, embeddings)
    tested = images if held_out else None
    return {
        "protocol": "held-out" if held_out else "leave-one-out",
        "backbone": plan.backbone.name,
        **{name: centers.metadata[name] for name in ("weights", "weights_sha256", "transform", "list_sha256")},
        "versions": {"imagenet_nk": __version__, "torch": torch.__version__, "timm": timm.__version__},
        "seed": seed,
        **figures,
        "chance": 1 / len(rows),
        **head,
        "random_splits": _random_splits(pooled, plan.backbone.dim, settings, seed),
        "within_between_ratio": within_between_ratio(labeled.pairs, len(rows), plan.backbone.dim)
        if len(rows) > 1
        else None,
        **heads_and_shots(labeled, tested, centers.wnids, settings, seed),
        "ood": ood_scores(labeled, tested, _outside(outside, rows, embeddings), len(rows), settings, seed)
        if outside
        else None,
        "per_class": _per_class(centers, label_map, predictions, votes),
        "confused": _confusions(centers.wnids, predictions, settings.confused_pairs),
        "pixels": plan.preprocessor.cache_key,
        "parity": plan.parity,
    }


def _outside(paths: Sequence[Path], rows: dict[int, int], embeddings: Embeddings) -> LabeledImages:
    """Images of no class, under the label of the first one, which nothing reads."""
    label = next(iter(rows))
    return LabeledImages([(path, label) for path in paths], rows, embeddings)


def _why_empty(metrics: dict[str, Any]) -> str:
    """Why no image was evaluated."""
    if metrics["images"]:
        return "nothing to evaluate: there is one class, so no other that an image could be taken for"
    if metrics["protocol"] == "held-out":
        if len(metrics["skipped"]) >= metrics["not_evaluated"]:
            return "nothing to evaluate: no held-out image can be read"
        return (
            f"nothing to evaluate: none of {metrics['not_evaluated']} held-out images is of a class that has a center; "
            "is their list numbered as labels= says?"
        )
    return "nothing to evaluate: every class has a single image, which no center can leave out; nk=2 or more"


def _random_splits(images: LabeledImages, dim: int, settings: EvaluateConfig, seed: int) -> dict[str, Any] | None:
    if not settings.random_splits:
        return None
    return evaluator.random_splits(images.batches, len(images.class_rows), dim, settings, seed)


def _per_class(
    centers: Centers, label_map: Classes, predictions: dict[str, Predictions], votes: MajorityVotes
) -> list[Any]:
    names = dict(zip(label_map.labels, label_map.names, strict=True))
    evaluated_K = np.bincount(predictions["euclidean"].classes, minlength=len(centers))
    columns = {name: per_class_accuracy(each, len(centers)) for name, each in predictions.items()}
    return [
        {
            "label": label,
            "wnid": centers.wnids[row],
            "name": names[label],
            "images": int(centers.counts[row]),
            "evaluated": int(evaluated_K[row]),
        }
        | {name: column[row] for name, column in columns.items()}
        | ({"head_majority": votes[label][0], "head_share": votes[label][1]} if label in votes else {})
        for row, label in enumerate(centers.labels.tolist())
    ]


def _confusions(wnids: Sequence[str], predictions: dict[str, Predictions], count: int) -> dict[str, Any]:
    return {
        name: [
            {"wnid": wnids[true], "predicted": wnids[taken], "images": n}
            for true, taken, n in confusion_pairs(each, count)
        ]
        for name, each in predictions.items()
    }
