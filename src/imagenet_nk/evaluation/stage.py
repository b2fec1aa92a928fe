"""The stage `evaluate`: metrics.json."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imagenet_nk.centers.accumulate import first_reading
from imagenet_nk.centers.stage import BackboneRun
from imagenet_nk.config import EvaluateConfig
from imagenet_nk.embedding.dataset import Classes, EmbeddingConfig, Entries, LabeledImages, check, listed
from imagenet_nk.embedding.embedder import Embedder, Progress
from imagenet_nk.errors import ListError
from imagenet_nk.evaluation import evaluator, label_check
from imagenet_nk.evaluation.metrics import confusion_pairs, per_class_accuracy
from imagenet_nk.evaluation.ncm import Predictions
from imagenet_nk.lists import list_file
from imagenet_nk.statistics.streaming import Mean
from imagenet_nk.storage.files import write_text

log = logging.getLogger(__name__)


def label_check_warnings(metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the label check says of the runs whose labels are wrong, all of them or those of some classes."""
    found = [(each["backbone"], each["label_check"]) for each in metrics if each["label_check"]]
    wrong = [(name, checked) for name, checked in found if checked["labels_wrong"] or checked["swapped_classes"]]
    return [f"{name}: {checked['message']}" for name, checked in wrong]


def evaluate_all(
    tasks: Sequence[BackboneRun],
    entries: Entries,
    label_map: Classes,
    *,
    held_out: Entries = (),
    settings: EvaluateConfig | None = None,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Stage `evaluate` of every task."""
    return [
        evaluate(
            entries,
            label_map,
            task.setting,
            task.output,
            held_out=held_out,
            settings=settings,
            embedder=task.embedder,
            progress=progress,
        )
        for task in tasks
    ]


METRICS = "metrics.json"


def evaluate(
    entries: Entries,
    label_map: Classes,
    setting: EmbeddingConfig,
    output: Path,
    *,
    held_out: Entries = (),
    settings: EvaluateConfig | None = None,
    embedder: Embedder | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Stage `evaluate`: how well the centers of `entries` tell their classes apart; writes output/metrics.json.

    On the images of settings.list or `held_out` if there are any, else leave-one-out. Embeddings that are on disk
    need no second pass.
    """
    settings = settings or EvaluateConfig()
    held_out = load_eval_list(settings, label_map) or held_out
    check(entries, label_map)
    if held_out:
        check(held_out, label_map)
    metrics = _compute_metrics(
        entries, held_out, label_map, embedder or setting.embedder(output), settings, setting.seed, progress
    )
    write_text(output / METRICS, json.dumps(metrics, indent=1, allow_nan=False) + "\n")
    top1 = {name: figure["top1"]["value"] for name, figure in metrics["ncm"].items() if figure["top1"]}
    shown = ", ".join(f"{name} {value:.4f}" for name, value in top1.items())
    said = f"top-1: {shown}" if shown else _why_empty(metrics)
    log.info("%s: %s nearest class mean, %s", metrics["backbone"], metrics["protocol"], said)
    return metrics


def load_eval_list(settings: EvaluateConfig, label_map: Classes, *, files: bool = True) -> Entries:
    """The images of settings.list; none without one. Raises ListError as `check` does."""
    if settings.list is None:
        return []
    entries = [(list_file.resolve(settings.list, entry), entry.label) for entry in list_file.read_list(settings.list)]
    try:
        check(entries, label_map, files=files)
    except ListError as error:
        raise ListError(f"evaluate.list={settings.list}: {error}") from error
    return entries


def _compute_metrics(
    entries: Entries,
    held_out: Entries,
    label_map: Classes,
    embedder: Embedder,
    settings: EvaluateConfig,
    seed: int,
    progress: Progress | None,
) -> dict[str, Any]:
    """What metrics.json holds."""
    made_of, mean, _ = first_reading(entries, embedder, progress)
    asked = listed(held_out, made_of.rows, embedder) if held_out else made_of
    classes, dim = len(made_of.rows), embedder.built.dim
    means = evaluator.ClassMeans.of(made_of.batches, classes, dim, plain=mean)
    judged = evaluator.evaluate_distances(means, asked.batches, not held_out)
    images = len(judged["euclidean"].ranks)
    head, votes = _head(embedder, made_of.rows, asked, label_map, judged)
    return {
        "protocol": "held-out" if held_out else "leave-one-out",
        "backbone": embedder.built.name,
        "weights_sha256": embedder.built.sha256,
        "classes": classes,
        "images": images,
        "not_evaluated": len(asked.paths) - images,
        "skipped": embedder.skipped,
        "chance": 1 / classes,
        "ncm": evaluator.ncm(judged, classes, settings, seed),
        **head,
        **_random_splits(entries, held_out, made_of.rows, embedder, settings, seed),
        "per_class": _per_class(made_of.rows, mean, label_map, judged, votes),
        "confused": _confusions(made_of.rows, label_map, judged, settings.confused_pairs),
        "pixels": embedder.crops.identity,
        "parity": embedder.agreement,
    }


def _why_empty(metrics: dict[str, Any]) -> str:
    """Why there is no figure."""
    if metrics["images"]:
        return "nothing to judge: there is one class, so no other that an image could be taken for"
    if metrics["protocol"] == "held-out":
        if len(metrics["skipped"]) >= metrics["not_evaluated"]:
            return "nothing to judge: no held-out image can be read"
        return (
            f"nothing to judge: none of {metrics['not_evaluated']} held-out images is of a class that has a center; "
            "is their list numbered as labels= says?"
        )
    return "nothing to judge: every class has a single image, and its center cannot be taken without it; nk=2 or more"


def _head(
    embedder: Embedder, rows: dict[int, int], asked: LabeledImages, label_map: Classes, judged: dict[str, Predictions]
) -> tuple[dict[str, Any], label_check.MajorityVotes]:
    """Accuracy of the model's own classifier, the ratio of both, and the label check; and what it calls each class.

    Nothing without such a head.
    """
    given = dict(zip(label_map.labels, label_map.wnids, strict=True))
    head = embedder.built.head
    order = label_check.head_order(head.out_features, label_map.wnids) if head is not None else None
    if head is None or order is None or not len(judged["euclidean"].ranks):
        return {"classifier_head": None, "label_check": None}, {}
    wnids = [given[label] for label in rows]
    figures, said, rows_N = evaluator.head_accuracy(head, order, wnids, asked.batches)
    labels_N = asked.labels[rows_N]
    best = max(each.top(1) for each in judged.values())
    ratio = best / figures["top1_among_centers"] if figures["top1_among_centers"] else None
    separation = max(best, _alike(judged, wnids, said))
    orders, heads = label_check.imagenet_label_orders(), label_check.other_head_orders(head.out_features)
    checked = label_check.check(labels_N, said, given, orders, separation, heads)
    if checked["labels_wrong"]:
        log.error("label check: %s", checked["message"])
    elif checked["matching_head_order"] or checked["swapped_classes"]:
        log.warning("label check: %s", checked["message"])
    votes = label_check.majority_votes(labels_N.tolist(), said)
    return {"classifier_head": {**figures, "ncm_to_head_ratio": ratio}, "label_check": checked}, votes


def _alike(judged: dict[str, Predictions], wnids: Sequence[str], said: Sequence[str]) -> float:
    """On what share of a held-out list the centers and the head agree, whatever its labels say."""
    taken = [[wnids[row] for row in each.nearest.tolist()] for each in judged.values()]
    if len(taken[0]) != len(said):  # leave-one-out leaves out classes of one image
        return 0.0
    return max(float(np.mean([one == other for one, other in zip(names, said, strict=True)])) for names in taken)


def _random_splits(
    entries: Entries, held_out: Entries, rows: dict[int, int], embedder: Embedder, settings: EvaluateConfig, seed: int
) -> dict[str, Any]:
    if not settings.random_splits:
        return {"random_splits": None}
    pooled = listed([*entries, *held_out], rows, embedder)
    return {"random_splits": evaluator.random_splits(pooled.batches, len(rows), embedder.built.dim, settings, seed)}


def _per_class(
    rows: dict[int, int],
    mean: Mean,
    label_map: Classes,
    judged: dict[str, Predictions],
    votes: label_check.MajorityVotes,
) -> list[Any]:
    known = dict(zip(label_map.labels, zip(label_map.wnids, label_map.names, strict=True), strict=True))
    asked = np.bincount(judged["euclidean"].classes, minlength=len(rows))
    columns = {name: per_class_accuracy(each, len(rows)) for name, each in judged.items()}
    return [
        {
            "label": label,
            "wnid": known[label][0],
            "name": known[label][1],
            "images": int(mean.counts_K[row]),
            "evaluated": int(asked[row]),
        }
        | {name: column[row] for name, column in columns.items()}
        | ({"head_majority": votes[label][0], "head_share": votes[label][1]} if label in votes else {})
        for label, row in rows.items()
    ]


def _confusions(rows: dict[int, int], label_map: Classes, judged: dict[str, Predictions], count: int) -> dict[str, Any]:
    wnid_of = dict(zip(label_map.labels, label_map.wnids, strict=True))
    wnids = [wnid_of[label] for label in rows]
    return {
        name: [
            {"wnid": wnids[true], "predicted": wnids[taken], "images": n}
            for true, taken, n in confusion_pairs(each, count)
        ]
        for name, each in judged.items()
    }
