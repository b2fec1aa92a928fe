"""The parts of the page that need no script: what was asked, what came out, where candidates were lost."""

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
_ALONE = "alone in their class, so that its center cannot be taken without them (nk=2 or more)"
_NO_OTHER = "of the only class that has a center, so that there is no other to be nearer to"
_NO_CENTER = "of classes without a center"
_DOUBTFUL = (
    "Likely wrong: their cosine distance to another class's center is less than to the mean of the other images of "
    "their own. The clearest come first."
)


def unjudged(facts: RunData, analysis: Analysis) -> dict[str, int]:
    """Images that were not weighed between their class and another, by the reason; those without any are left out."""
    found, atlas, centers = analysis.images, analysis.atlas, facts.centers
    if found is None or atlas is None or centers is None:
        return {}
    rows = facts.images["row"].to_numpy()
    single = {wnid for wnid, count in zip(centers.wnids, centers.counts.tolist(), strict=True) if count == 1}
    no_own = np.isnan(found.own)
    no_center = ~np.isin(rows, atlas.rows)
    alone = no_own & facts.images["wnid"].isin(single).to_numpy()
    counts = {
        NO_EMBEDDING: int((no_own & ~no_center & ~alone).sum()),
        _ALONE: int(alone.sum()),
        _NO_OTHER: int((~no_own & np.isnan(found.other)).sum()),
        _NO_CENTER: int(no_center.sum()),
    }
    return {reason: count for reason, count in counts.items() if count}


def words(facts: RunData, analysis: Analysis, galleries: Mapping[str, Sequence[int]]) -> dict[str, object]:
    """For the page's template."""
    found = analysis.images
    judged = 0 if found is None else int((~np.isnan(found.margin)).sum())
    said = [_verdict(judged, len(galleries["wrong"]))]
    if reasons := [f"{plural(count, 'image')} {why}" for why, count in unjudged(facts, analysis).items()]:
        said.append(f"Not judged: {'; '.join(reasons)}.")
    return {
        "has_distances": found is not None,
        "wrong_said": " ".join(said),
        "wrong_count": len(galleries["wrong"]),
        "far_count": len(galleries["far"]),
    }


def _verdict(judged: int, doubtful: int) -> str:
    if doubtful:
        return _DOUBTFUL
    if not judged:
        return "No image could be judged."
    return f"None of the {plural(judged, 'image')} that could be judged: each lies nearest to its own class."


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


def tiles(facts: RunData) -> list[dict[str, str]]:
    """The few figures at the top."""
    classes = facts.classes
    full = int((classes["kept"] >= classes["wanted"]).sum())
    shown = [
        {"value": f"{len(facts.images):,}", "name": "images kept"},
        {"value": f"{full:,} of {len(classes):,}", "name": "classes complete"},
        {"value": f"{int(classes['tried'].sum()):,}", "name": "candidates tried"},
    ]
    distance = metrics_table.best_distance(facts.metrics)
    if (top1 := metrics_table.value(facts.metrics, distance, "top1")) is not None:
        shown.append({"value": percent(top1), "name": f"nearest class mean, best of three: {distance}"})
    return shown


def asked(facts: RunData) -> list[tuple[str, str]]:
    """What the command said."""
    source, fallback = facts.choices.get("source", ""), facts.choices.get("source@fallback", "none")
    rows = [
        ("command", " ".join(facts.overrides) or "no override"),
        ("images a class", "all that there are" if facts.setting("nk") is None else str(facts.setting("nk"))),
        ("seed", str(facts.setting("seed"))),
        ("source", source + (f", then {fallback}" if fallback != "none" and source != "demo" else "")),
        ("classes", _classes(facts)),
        ("labels", str(facts.setting("labels.order"))),
        ("split", facts.choices.get("split", "")),
        ("backbone", str(facts.setting("backbone.name"))),
    ]
    return [(name, text) for name, text in rows if text not in ("", "None")] if facts.config else []


def came_out(facts: RunData) -> list[tuple[str, str]]:
    """Where the results are and what made them."""
    metadata = facts.centers.metadata if facts.centers else {}
    given = facts.images["source"].value_counts()
    rows = [
        ("data set", str(facts.folder)),
        ("run", str(facts.run)),
        ("images from", ", ".join(f"{name} {count:,}" for name, count in given.items())),
        ("weights", metadata.get("weights", "")),
        ("weights, SHA-256", metadata.get("weights_sha256", "")[:16]),
        ("pixels", metadata.get("transform", "")),
        ("list, SHA-256", metadata.get("list_sha256", "")[:16]),
        ("imagenet-nk", metadata.get("version", __version__)),
        ("PyTorch", metadata.get("torch", "")),
    ]
    times = ", ".join(f"{one.name} {format_duration(one.seconds)}" for one in facts.stages if one.seconds is not None)
    return [(name, text) for name, text in [*rows, ("time", times)] if text]


def funnel(facts: RunData) -> list[dict[str, Any]]:
    """How many candidates were left after each step, and their share of all."""
    counts = {name: int(facts.reasons[name].sum()) for name in facts.reasons}
    tried = int(facts.classes["tried"].sum())
    broken = sum(count for name, count in counts.items() if name in _NOT_AN_IMAGE)
    unwanted = sum(count for name, count in counts.items() if name in _NOT_WANTED)
    kept = int(facts.classes["kept"].sum())
    steps = [
        ("candidates tried", tried),
        ("gave a file", kept + unwanted + broken),
        ("a whole picture, large enough", kept + unwanted),
        ("kept: no placeholder, no duplicate", kept),
    ]
    return [{"name": name, "count": count, "share": count / tried if tried else 0.0} for name, count in steps]


def reasons(facts: RunData) -> list[dict[str, Any]]:
    """Why candidates were rejected, the commonest first."""
    counts = sorted(((int(facts.reasons[name].sum()), name) for name in facts.reasons), reverse=True)
    most = max((count for count, _ in counts), default=0)
    return [{"name": name, "count": count, "share": count / most} for count, name in counts if count]


def _classes(facts: RunData) -> str:
    table = facts.setting("classes.table") or facts.setting("classes.root_wnid") or ""
    return f"{len(facts.classes):,} of {table}" if table else f"{len(facts.classes):,}"
