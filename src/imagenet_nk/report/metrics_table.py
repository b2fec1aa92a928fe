"""metrics.json as tables, tolerant of what an earlier version did not write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imagenet_nk.wording import percent

NO_VALUE = "\N{EN DASH}"
Metrics = Mapping[str, Any]


def accuracy_entry(metrics: Metrics, distance: str, name: str) -> Mapping[str, Any] | None:
    """{"value": ..., "ci95": [low, high]} of an accuracy; None where it was not judged."""
    found = (metrics.get("ncm") or {}).get(distance, {}).get(name)
    return {"value": found} if isinstance(found, int | float) else found


def value(metrics: Metrics, distance: str, name: str) -> float | None:
    """An accuracy, 0 to 1."""
    found = accuracy_entry(metrics, distance, name)
    return None if found is None else float(found["value"])


def best_distance(metrics: Metrics) -> str:
    """The distance with the highest top-1; "" without any."""
    judged = {name: top1 for name in metrics.get("ncm") or {} if (top1 := value(metrics, name, "top1")) is not None}
    return max(judged, key=lambda name: judged[name], default="")


def rows(metrics: Metrics) -> list[dict[str, str]]:
    """The table of accuracies: a row a distance, and one for the backbone's own classifier."""
    table = [
        {
            "name": name,
            "top1": _shown(accuracy_entry(metrics, name, "top1")),
            "top5": _shown(accuracy_entry(metrics, name, "top5")),
        }
        for name in metrics.get("ncm") or {}
    ]
    if head := metrics.get("classifier_head"):
        among = head.get("top1_among_centers", head.get("top1"))
        table.append({"name": "the model's own classifier", "top1": _shown(_plain(among)), "top5": NO_VALUE})
    return table


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


def _shown(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return NO_VALUE
    text = percent(found["value"])
    return f"{text} ({percent(found['ci95'][0])} to {percent(found['ci95'][1])})" if found.get("ci95") else text
