"""metrics.json as tables, tolerant of what an earlier version did not write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imagenet_nk.wording import percent

NO_VALUE = "\N{EN DASH}"
Metrics = Mapping[str, Any]


def accuracy_entry(metrics: Metrics, distance: str, name: str) -> Mapping[str, Any] | None:
    """{"value": ..., "ci95": [low, high]} of an accuracy; None where it was not judged."""
    entry = (metrics.get("ncm") or {}).get(distance, {}).get(name)
    return {"value": entry} if isinstance(entry, int | float) else entry


def value(metrics: Metrics, distance: str, name: str) -> float | None:
    """An accuracy, 0 to 1."""
    entry = accuracy_entry(metrics, distance, name)
    return None if entry is None else float(entry["value"])


def best_distance(metrics: Metrics) -> str:
    """The distance with the highest top-1; "" without any."""
    judged = {name: top1 for name in metrics.get("ncm") or {} if (top1 := value(metrics, name, "top1")) is not None}
    return max(judged, key=lambda name: judged[name], default="")


def rows(metrics: Metrics) -> list[dict[str, str]]:
    """The table of accuracies: a row a distance, and one for the backbone's own classifier."""
    table = [
        {
            "name": name,
            "top1": _format_accuracy(accuracy_entry(metrics, name, "top1")),
            "top5": _format_accuracy(accuracy_entry(metrics, name, "top5")),
        }
        for name in metrics.get("ncm") or {}
    ]
    if head := metrics.get("classifier_head"):
        top1 = head.get("top1_among_centers", head.get("top1"))
        table.append({"name": "the model's own classifier", "top1": _format_accuracy(_plain(top1)), "top5": NO_VALUE})
    return table


def few_shot(metrics: Metrics) -> dict[str, Any]:
    """The few-shot table: numbers of shots, and for each classifier its accuracy at each; {} without one."""
    table = metrics.get("few_shot")
    if not table:
        return {}
    by_head: dict[str, dict[int, Mapping[str, Any]]] = {}
    for row in table["rows"]:
        by_head.setdefault(row["head"], {})[row["shots"]] = row
    shots = sorted({row["shots"] for row in table["rows"]})
    excluded = {row["shots"]: len(row["excluded"]) for row in table["rows"] if row["excluded"]}
    return {
        "shots": shots,
        "rows": [{"name": head, "cells": [_spread(rows[n]) for n in shots]} for head, rows in by_head.items()],
        "draws": len(table["seeds"]),
        "test_images": table["test_images"],
        "excluded": [f"{count} at {n} shots" for n, count in sorted(excluded.items())],
    }


def heads(metrics: Metrics) -> list[dict[str, str]]:
    """Accuracy of each classifier that evaluate.heads names."""
    table = metrics.get("heads") or {}
    return [{"name": name, "top1": _spread(entry)} for name, entry in table.items() if isinstance(entry, Mapping)]


def ood(metrics: Metrics) -> dict[str, Any]:
    """The out-of-distribution table: a row a score, on raw and on unit-length embeddings; {} without one."""
    table = metrics.get("ood")
    if not table:
        return {}
    rows = [
        {
            "name": f"{name.replace('_', ' ')}, {space}",
            "auroc": percent(figures["auroc"]),
            "fpr": percent(figures["fpr_at_95_tpr"]),
        }
        for name, spaces in table["scores"].items()
        for space, figures in spaces.items()
    ]
    return {"rows": rows, "inside": table["inside"], "outside": table["outside"], "test_images": table["test_images"]}


def _spread(entry: Mapping[str, Any]) -> str:
    """A mean with its standard deviation."""
    if entry.get("mean") is None:
        return NO_VALUE
    text = percent(entry["mean"])
    return text if entry.get("std") is None else f"{text} ± {100 * entry['std']:.1f}"


def why_not_evaluated(metrics: Metrics) -> str:
    """Why an evaluation has no accuracy; "" where it has one, or there was no evaluation."""
    if not metrics.get("ncm") or best_distance(metrics):
        return ""
    if metrics.get("images"):
        return "there is one class, so no other that an image could be taken for."
    if metrics.get("protocol") == "held-out":
        return "no held-out image can be read and has a class with a center."
    return "every class has a single image, and its center cannot be taken without it; nk=2 or more."


def per_class(metrics: Metrics) -> dict[str, float | None]:
    """Top-1 of each class by WNID, under the best distance."""
    distance = best_distance(metrics)
    return {row["wnid"]: row.get(distance) for row in metrics.get("per_class") or []}


def confused(metrics: Metrics) -> list[tuple[str, str, int]]:
    """(WNID, WNID that it was taken for, images), under the best distance."""
    pairs = metrics.get("confused") or {}
    return [(pair["wnid"], pair["predicted"], pair["images"]) for pair in pairs.get(best_distance(metrics), [])]


def _plain(number: float | None) -> Mapping[str, Any] | None:
    return None if number is None else {"value": number}


def _format_accuracy(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return NO_VALUE
    text = percent(entry["value"])
    return f"{text} ({percent(entry['ci95'][0])} to {percent(entry['ci95'][1])})" if entry.get("ci95") else text
