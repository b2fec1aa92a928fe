"""What a reader must see first: whatever makes a sample or its centers doubtful, worst first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from imagenet_nk.report.analysis.analyse import Analysis
from imagenet_nk.report.host_stats import FetchStats
from imagenet_nk.report.metrics_table import best_distance, value
from imagenet_nk.report.page.summary import NO_EMBEDDING, unjudged
from imagenet_nk.report.run_data import RunData
from imagenet_nk.report.thumbnails import ContactStrip
from imagenet_nk.report.warnings.label_checks import label_alarms
from imagenet_nk.report.warnings.warning import PROBLEM, WARNING, ReportWarning, named, note
from imagenet_nk.wording import percent, plural

NEAR_BITS = 4  # of 64: two pictures with looks so near are one to the eye
_NOT_ONE = (
    "No candidate of any class was kept; the reasons are below. retry=transient asks again what timed out, "
    "source@fallback=archive fills up from the archive, a smaller inspect.min_side lets smaller images in."
)
_SHARE = 0.5  # of a class's images


@dataclass(frozen=True)
class ReportInputs:
    """What alarms are raised from."""

    facts: RunData
    asked: FetchStats
    analysis: Analysis
    strips: dict[str, ContactStrip]  # by WNID


def alarms(evidence: ReportInputs) -> list[ReportWarning]:
    """All that apply, problems before warnings before notes."""
    checks: Sequence[Callable[[ReportInputs], list[ReportWarning]]] = (
        _foreign, _interrupted, _empty, _short, lambda e: label_alarms(e.facts), _confused_classes, _identical, _shared,
        _weights, _accuracy, _unreadable, _single, _stale,
    )  # fmt: skip
    found = [alarm for check in checks for alarm in check(evidence)]
    return sorted(found, key=lambda alarm: alarm.rank)


def _foreign(evidence: ReportInputs) -> list[ReportWarning]:
    """Centers of another list: of another data set, or of this one before it grew or shrank."""
    facts, centers = evidence.facts, evidence.facts.foreign
    if centers is None:
        return []
    made = f"{plural(int(centers.counts.sum()), 'image')} of {plural(len(centers), 'class', 'classes')}"
    detail = (
        f"{facts.run} made them of {made}, under a list that is not the one in {facts.folder} now: of another data "
        "set, or of this one before it changed. Centers and evaluation are left out of this page; "
        "stages=[centers,evaluate,report] makes them of the images that are here."
    )
    return [ReportWarning(PROBLEM, "The centers of this run belong to another list", detail)]


def _interrupted(evidence: ReportInputs) -> list[ReportWarning]:
    facts = evidence.facts
    said = ["the data set was never collected to its end"] if evidence.asked.ended is False else []
    said += [f"the stage {stage.name} began and did not end" for stage in facts.stages if stage.seconds is None]
    title = "The run was interrupted" if said else "The run failed"
    if facts.outcome.get("exit_code") == 1:
        said.append(f"it failed: {facts.outcome.get('reason', '')}")
    if not said:
        return []
    if missing := _missing(facts):
        said.append(f"missing: {', '.join(missing)}")
    detail = "; ".join(said)
    advice = "The same command goes on from there." if len(facts.images) or evidence.asked.ended is False else ""
    return [ReportWarning(PROBLEM, title, f"{detail[0].upper()}{detail[1:]}. {advice}".rstrip())]


def _missing(facts: RunData) -> list[str]:
    """What the run was to leave behind and did not."""
    ended = {stage.name for stage in facts.stages if stage.seconds is not None} | {"report"}
    leaves = {"collect": "images", "lists": "lists", "centers": "centers", "evaluate": "evaluation"}
    wanted = facts.setting("stages") or ()
    return [f"{'part of the ' if name == 'collect' else 'the '}{leaves[name]}" for name in wanted if name not in ended]


def _empty(evidence: ReportInputs) -> list[ReportWarning]:
    if len(evidence.facts.images):
        return []
    return [ReportWarning(PROBLEM, "There is not one image", _NOT_ONE)]


def _short(evidence: ReportInputs) -> list[ReportWarning]:
    classes = evidence.facts.classes
    lacking = (classes["wanted"] - classes["kept"]).clip(lower=0)
    rows = np.flatnonzero(lacking).tolist()
    if not rows:
        return []
    detail = f"{plural(int(lacking.sum()), 'image')} missing: {named(evidence.facts, rows)}."
    return [ReportWarning(WARNING, f"{plural(len(rows), 'class', 'classes')} short of images", detail, rows)]


def _confused_classes(evidence: ReportInputs) -> list[ReportWarning]:
    """Classes most of whose images lie nearer to one and the same other class."""
    found = evidence.analysis.images
    if found is None:
        return []
    facts, drawn = evidence.facts, dict[int, tuple[int, int, int]]()
    rows = facts.images["row"].to_numpy()
    for row in np.unique(rows[found.margin > 0]).tolist():
        own = rows == row
        nearer = found.nearest[own & (found.margin > 0)]
        others, counts = np.unique(nearer, return_counts=True)
        judged = int((~np.isnan(found.margin[own])).sum())
        if judged >= 2 and counts.max() >= _SHARE * judged:
            drawn[row] = (int(others[counts.argmax()]), int(counts.max()), judged)
    result = []
    for row, (other, count, judged) in drawn.items():
        back = drawn.get(other, (-1, 0, 0))[0] == row
        if back and row > other:
            continue
        pair = [row, other]
        if back:
            title = f"{named(facts, [row])} and {named(facts, [other])} look swapped"
            detail = "Most images of each lie nearer to the center of the other. Are their labels exchanged?"
        else:
            title = f"{named(facts, [row])} is full of something else"
            detail = f"{count} of {judged} images lie nearer to the center of {named(facts, [other])}."
        result.append(ReportWarning(PROBLEM if back else WARNING, title, detail, pair))
    return result


def _identical(evidence: ReportInputs) -> list[ReportWarning]:
    """Classes that show one picture again and again, whatever its bytes."""
    result = []
    for row, wnid in enumerate(evidence.facts.classes["wnid"]):
        strip = evidence.strips.get(wnid)
        looks = [look for position, look in enumerate(strip.looks) if position not in strip.missing] if strip else []
        size = largest_group(looks)
        if size >= max(3, _SHARE * len(looks)):
            title = f"{named(evidence.facts, [row])} shows one picture {size} times"
            result.append(
                ReportWarning(PROBLEM, title, f"{size} of {len(looks)} pictures look the same to the eye.", [row])
            )
    return result


def largest_group(looks: Sequence[int], bits: int = NEAR_BITS) -> int:
    """Most pictures that look like one of them."""
    return max((sum((one ^ other).bit_count() <= bits for other in looks) for one in looks), default=0)


def _shared(evidence: ReportInputs) -> list[ReportWarning]:
    shared = evidence.asked.shared
    if not shared:
        return []
    place = {wnid: row for row, wnid in enumerate(evidence.facts.classes["wnid"])}
    rows = sorted({place[wnid] for wnids in shared for wnid in wnids if wnid in place})
    detail = f"Equal pixels: {named(evidence.facts, rows)}. inspect.cross_class_duplicates=drop leaves them out."
    return [ReportWarning(WARNING, f"{plural(len(shared), 'picture')} in more than one class", detail, rows)]


def _weights(evidence: ReportInputs) -> list[ReportWarning]:
    centers = evidence.facts.centers
    if centers is None or not centers.metadata.get("weights", "").startswith("random"):
        return []
    detail = "The centers are good for trying the program, and mean nothing. backbone.pretrained=true loads real ones."
    return [ReportWarning(WARNING, "The backbone has random weights", detail)]


def _accuracy(evidence: ReportInputs) -> list[ReportWarning]:
    metrics = evidence.facts.metrics
    distance = best_distance(metrics)
    top1 = value(metrics, distance, "top1")
    classes = int(metrics.get("classes") or 0)
    if top1 is None or classes < 2 or top1 >= (least := min(0.8, max(5 / classes, 0.3))):
        return []
    right = f"The best distance, {distance}, is right on {percent(top1)} of the images"
    detail = f"{right}; below {percent(least, 0)} look for a reason."
    return [ReportWarning(WARNING, "The centers do not tell the classes apart", detail)]


def _unreadable(evidence: ReportInputs) -> list[ReportWarning]:
    facts = evidence.facts
    rows = [row for row, wnid in enumerate(facts.classes["wnid"]) if (s := evidence.strips.get(wnid)) and s.missing]
    count = sum(len(evidence.strips[facts.classes["wnid"][row]].missing) for row in rows)
    found = []
    if count:
        detail = f"They are in the manifest, but their files are gone or unreadable: {named(facts, rows)}."
        found.append(ReportWarning(PROBLEM, f"{plural(count, 'picture')} missing", detail, rows))
    if skipped := facts.metrics.get("skipped"):
        detail = "; ".join(f"{one.get('path')}: {one.get('reason')}" for one in skipped[:5])
        found.append(ReportWarning(WARNING, f"{plural(len(skipped), 'image')} without an embedding", detail))
    return found


def _single(evidence: ReportInputs) -> list[ReportWarning]:
    centers = evidence.facts.centers
    if centers is None:
        return []
    alone = int((centers.counts == 1).sum())
    found = []
    if len(centers.counts) == 1:
        found.append(note("There is one class", "So there is no nearest other class, no similarity and no accuracy."))
    if alone:
        detail = "They have no spread and no leave-one-out judgement: a dash stands there."
        found.append(note(f"{plural(alone, 'class', 'classes')} of a single image", detail))
    return found


def _stale(evidence: ReportInputs) -> list[ReportWarning]:
    facts = evidence.facts
    if facts.foreign is not None:
        return []
    if facts.centers is None:
        return [note("There are no centers", "Run the stages centers and evaluate to see maps and doubtful images.")]
    if evidence.analysis.images is None and len(facts.images):
        return [note("The embeddings were not kept", "Images cannot be scored; set centers.cache_embeddings=always.")]
    # Those that could not be read have a warning of their own.
    lost = unjudged(facts, evidence.analysis).get(NO_EMBEDDING, 0) - len(facts.metrics.get("skipped") or ())
    if lost > 0:
        detail = "They have no embedding beside the data set; stages=[centers,evaluate,report] makes it."
        return [note(f"{lost:,} of {plural(len(facts.images), 'image')} not judged", detail)]
    return []
