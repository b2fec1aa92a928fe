"""The parts of the page that need no script: settings, outputs, and where candidates were rejected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imagenet_nk.progress.progress_state import format_duration
from imagenet_nk.reasons import Reason
from imagenet_nk.report import metrics_table
from imagenet_nk.report.analysis.analyse import Analysis
from imagenet_nk.report.run_data import RunData
from imagenet_nk.version import __version__
from imagenet_nk.wording import percent, plural

NO_EMBEDDING = "without an embedding beside the data set"
_SINGLE_IMAGE = "that are the only one of their class, so that it has no center without them (use nk=2 or more)"
_NO_OTHER = "of the only class that has a center, so that there is no other to compare with"
_NO_CENTER = "of classes without a center"
_LIKELY_MISLABELLED = (
    "Closer (cosine distance) to the center of another class than to the mean of the other images of their own "
    "class; largest difference first."
)


def unscored(data: RunData, analysis: Analysis) -> dict[str, int]:
    """How many images have no outlier score, by reason; reasons without images are left out."""
    scores, class_map, centers = analysis.images, analysis.class_map, data.centers
    if scores is None or class_map is None or centers is None:
        return {}
    rows = data.images["row"].to_numpy()
    single = {wnid for wnid, count in zip(centers.wnids, centers.counts.tolist(), strict=True) if count == 1}
    no_own = np.isnan(scores.own)
    no_center = ~np.isin(rows, class_map.rows)
    is_single = no_own & data.images["wnid"].isin(single).to_numpy()
    counts = {
        NO_EMBEDDING: int((no_own & ~no_center & ~is_single).sum()),
        _SINGLE_IMAGE: int(is_single.sum()),
        _NO_OTHER: int((~no_own & np.isnan(scores.other)).sum()),
        _NO_CENTER: int(no_center.sum()),
    }
    return {reason: count for reason, count in counts.items() if count}


def outlier_texts(data: RunData, analysis: Analysis, galleries: Mapping[str, Sequence[int]]) -> dict[str, object]:
    """For the page's template."""
    scores = analysis.images
    scored = 0 if scores is None else int((~np.isnan(scores.margin)).sum())
    sentences = [_describe_scores(scored, len(galleries["wrong"]))]
    if reasons := [f"{plural(count, 'image')} {why}" for why, count in unscored(data, analysis).items()]:
        sentences.append(f"Not scored: {'; '.join(reasons)}.")
    return {
        "has_distances": scores is not None,
        "mislabelled_text": " ".join(sentences),
        "wrong_count": len(galleries["wrong"]),
        "far_count": len(galleries["far"]),
    }


def _describe_scores(scored: int, mislabelled: int) -> str:
    if mislabelled:
        return _LIKELY_MISLABELLED
    if not scored:
        return "No image could be scored."
    return f"None of the {plural(scored, 'image')} that could be scored: each is closest to its own class."


_NOT_AN_IMAGE = frozenset(
    {
        Reason.NOT_IMAGE,
        Reason.TRUNCATED,
        Reason.CORRUPT,
        Reason.BLANK,
        Reason.TOO_SMALL,
        Reason.TOO_LARGE,
        Reason.UNREADABLE,
        Reason.LOGIN_PAGE,
    }
)
_NOT_WANTED = frozenset(
    {
        Reason.PLACEHOLDER,
        Reason.DUPLICATE,
        Reason.NEAR_DUPLICATE,
        Reason.SHARED,
        Reason.REDRAWN,
        Reason.CHANGED,
        Reason.DRIFTED,
        Reason.WRONG_CLASS,
    }
)


def tiles(data: RunData) -> list[dict[str, str]]:
    """The few figures at the top."""
    classes = data.classes
    full = int((classes["kept"] >= classes["wanted"]).sum())
    figures = [
        {"value": f"{len(data.images):,}", "name": "images kept"},
        {"value": f"{full:,} of {len(classes):,}", "name": "classes complete"},
        {"value": f"{int(classes['tried'].sum()):,}", "name": "candidates tried"},
    ]
    distance = metrics_table.best_distance(data.metrics)
    if (top1 := metrics_table.value(data.metrics, distance, "top1")) is not None:
        figures.append({"value": percent(top1), "name": f"nearest class mean, best of three: {distance}"})
    return figures


def settings(data: RunData) -> list[tuple[str, str]]:
    """What the command sentences."""
    source, fallback = data.choices.get("source", ""), data.choices.get("source@fallback", "none")
    rows = [
        ("command", " ".join(data.overrides) or "no override"),
        ("images a class", "all that there are" if data.setting("nk") is None else str(data.setting("nk"))),
        ("seed", str(data.setting("seed"))),
        ("source", source + (f", then {fallback}" if fallback != "none" and source != "demo" else "")),
        ("classes", _classes(data)),
        ("labels", str(data.setting("labels.order"))),
        ("split", data.choices.get("split", "")),
        ("backbone", str(data.setting("backbone.name"))),
    ]
    return [(name, text) for name, text in rows if text not in ("", "None")] if data.config else []


def outputs(data: RunData) -> list[tuple[str, str]]:
    """Where the results are and what made them."""
    metadata = data.centers.metadata if data.centers else {}
    per_source = data.images["source"].value_counts()
    rows = [
        ("data set", str(data.folder)),
        ("run", str(data.run)),
        ("images from", ", ".join(f"{name} {count:,}" for name, count in per_source.items())),
        ("weights", metadata.get("weights", "")),
        ("weights, SHA-256", metadata.get("weights_sha256", "")[:16]),
        ("pixels", metadata.get("transform", "")),
        ("list, SHA-256", metadata.get("list_sha256", "")[:16]),
        ("imagenet-nk", metadata.get("version", __version__)),
        ("PyTorch", metadata.get("torch", "")),
    ]
    times = ", ".join(f"{one.name} {format_duration(one.seconds)}" for one in data.stages if one.seconds is not None)
    return [(name, text) for name, text in [*rows, ("time", times)] if text]


def funnel(data: RunData) -> list[dict[str, Any]]:
    """How many candidates were left after each step, and their share of all."""
    counts = {name: int(data.reasons[name].sum()) for name in data.reasons}
    tried = int(data.classes["tried"].sum())
    broken = sum(count for name, count in counts.items() if name in _NOT_AN_IMAGE)
    unwanted = sum(count for name, count in counts.items() if name in _NOT_WANTED)
    kept = int(data.classes["kept"].sum())
    steps = [
        ("candidates tried", tried),
        ("gave a file", kept + unwanted + broken),
        ("a whole picture, large enough", kept + unwanted),
        ("kept: no placeholder, no duplicate", kept),
    ]
    return [{"name": name, "count": count, "share": count / tried if tried else 0.0} for name, count in steps]


def reasons(data: RunData) -> list[dict[str, Any]]:
    """Why candidates were rejected, the commonest first."""
    counts = sorted(((int(data.reasons[name].sum()), name) for name in data.reasons), reverse=True)
    most = max((count for count, _ in counts), default=0)
    return [{"name": name, "count": count, "share": count / most} for count, name in counts if count]


def _classes(data: RunData) -> str:
    table = data.setting("classes.table") or data.setting("classes.root_wnid") or ""
    return f"{len(data.classes):,} of {table}" if table else f"{len(data.classes):,}"
