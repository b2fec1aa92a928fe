"""The parts of the page that need no script: what was asked, what came out, where candidates were lost."""

from __future__ import annotations

from typing import Any

from imagenet_nk import __version__
from imagenet_nk.progress.standing import duration
from imagenet_nk.report import evaluation
from imagenet_nk.report.facts import Facts
from imagenet_nk.report.said import percent

_NOT_AN_IMAGE = frozenset(
    {"not_image", "truncated", "corrupt", "cut_short", "blank", "too_small", "too_large", "unreadable", "login_page"}
)
_NOT_WANTED = frozenset(
    {"placeholder", "duplicate", "near_duplicate", "shared", "redrawn", "changed", "drifted", "wrong_class"}
)


def tiles(facts: Facts) -> list[dict[str, str]]:
    """The few figures at the top."""
    classes = facts.classes
    full = int((classes["kept"] >= classes["wanted"]).sum())
    shown = [
        {"value": f"{len(facts.images):,}", "name": "images kept"},
        {"value": f"{full:,} of {len(classes):,}", "name": "classes complete"},
        {"value": f"{int(classes['tried'].sum()):,}", "name": "candidates tried"},
    ]
    distance = evaluation.best_distance(facts.metrics)
    if (top1 := evaluation.value(facts.metrics, distance, "top1")) is not None:
        shown.append({"value": percent(top1), "name": f"nearest class mean, best of three: {distance}"})
    return shown


def asked(facts: Facts) -> list[tuple[str, str]]:
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


def came_out(facts: Facts) -> list[tuple[str, str]]:
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
    times = ", ".join(f"{one.name} {duration(one.seconds)}" for one in facts.stages if one.seconds is not None)
    return [(name, text) for name, text in [*rows, ("time", times)] if text]


def funnel(facts: Facts) -> list[dict[str, Any]]:
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


def reasons(facts: Facts) -> list[dict[str, Any]]:
    """Why candidates were rejected, the commonest first."""
    counts = sorted(((int(facts.reasons[name].sum()), name) for name in facts.reasons), reverse=True)
    most = max((count for count, _ in counts), default=0)
    return [{"name": name, "count": count, "share": count / most} for count, name in counts if count]


def _classes(facts: Facts) -> str:
    table = facts.setting("classes.table") or facts.setting("classes.under") or ""
    return f"{len(facts.classes):,} of {table}" if table else f"{len(facts.classes):,}"
