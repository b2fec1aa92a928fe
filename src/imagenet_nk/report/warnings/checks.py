"""Checks for whatever makes a data set or its centers doubtful."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from imagenet_nk.report.analysis.analyse import Analysis
from imagenet_nk.report.host_stats import FetchStats
from imagenet_nk.report.metrics_table import best_distance, value
from imagenet_nk.report.page.summary import NO_EMBEDDING, unscored
from imagenet_nk.report.run_data import RunData
from imagenet_nk.report.thumbnails import ContactStrip
from imagenet_nk.report.warnings.label_checks import find_label_warnings
from imagenet_nk.report.warnings.warning import PROBLEM, WARNING, ReportWarning, class_names, note
from imagenet_nk.wording import percent, plural

NEAR_BITS = 4  # of 64: two images whose hashes differ in so few bits look the same
_NO_IMAGE_ADVICE = (
    "No candidate of any class was kept; the reasons are below. retry=transient asks again what timed out, "
    "source@fallback=archive fills up from the archive, a smaller inspect.min_side lets smaller images in."
)
_MIN_FRACTION = 0.5  # of a class's images


@dataclass(frozen=True)
class ReportInputs:
    """What the checks read."""

    data: RunData
    fetch_stats: FetchStats
    analysis: Analysis
    strips: dict[str, ContactStrip]  # by WNID


def find_warnings(inputs: ReportInputs) -> list[ReportWarning]:
    """All that apply, problems before warnings before notes."""
    checks: Sequence[Callable[[ReportInputs], list[ReportWarning]]] = (
        _stale_centers, _interrupted, _no_images, _incomplete_classes, lambda each: find_label_warnings(each.data),
        _confused_classes, _identical_images, _cross_class_duplicates, _random_weights, _low_accuracy,
        _unreadable_images, _single_images, _missing_embeddings,
    )  # fmt: skip
    warnings = [warning for check in checks for warning in check(inputs)]
    return sorted(warnings, key=lambda warning: warning.rank)


def _stale_centers(inputs: ReportInputs) -> list[ReportWarning]:
    """Centers of another list: of another data set, or of this one before it grew or shrank."""
    data, centers = inputs.data, inputs.data.stale_centers
    if centers is None:
        return []
    made = f"{plural(int(centers.counts.sum()), 'image')} of {plural(len(centers), 'class', 'classes')}"
    detail = (
        f"{data.run} made them of {made}, under a list that is not the one in {data.folder} now: of another data "
        "set, or of this one before it changed. Centers and evaluation are left out of this page; "
        "stages=[centers,evaluate,report] makes them of the images that are here."
    )
    return [ReportWarning(PROBLEM, "The centers of this run belong to another list", detail)]


def _interrupted(inputs: ReportInputs) -> list[ReportWarning]:
    data = inputs.data
    faults = ["the data set was never collected to its end"] if inputs.fetch_stats.ended is False else []
    faults += [f"the stage {stage.name} began and did not end" for stage in data.stages if stage.seconds is None]
    title = "The run was interrupted" if faults else "The run failed"
    if data.outcome.get("exit_code") == 1:
        faults.append(f"it failed: {data.outcome.get('reason', '')}")
    if not faults:
        return []
    if missing := _missing_results(data):
        faults.append(f"missing: {', '.join(missing)}")
    detail = "; ".join(faults)
    advice = "The same command goes on from there." if len(data.images) or inputs.fetch_stats.ended is False else ""
    return [ReportWarning(PROBLEM, title, f"{detail[0].upper()}{detail[1:]}. {advice}".rstrip())]


def _missing_results(data: RunData) -> list[str]:
    """What the run was to leave behind and did not."""
    completed = {stage.name for stage in data.stages if stage.seconds is not None} | {"report"}
    leaves = {"collect": "images", "lists": "lists", "centers": "centers", "evaluate": "evaluation"}
    stages = data.setting("stages") or ()
    return [
        f"{'part of the ' if name == 'collect' else 'the '}{leaves[name]}" for name in stages if name not in completed
    ]


def _no_images(inputs: ReportInputs) -> list[ReportWarning]:
    if len(inputs.data.images):
        return []
    return [ReportWarning(PROBLEM, "There are no images", _NO_IMAGE_ADVICE)]


def _incomplete_classes(inputs: ReportInputs) -> list[ReportWarning]:
    classes = inputs.data.classes
    missing = (classes["wanted"] - classes["kept"]).clip(lower=0)
    rows = np.flatnonzero(missing).tolist()
    if not rows:
        return []
    detail = f"{plural(int(missing.sum()), 'image')} missing: {class_names(inputs.data, rows)}."
    return [ReportWarning(WARNING, f"{plural(len(rows), 'class', 'classes')} short of images", detail, rows)]


def _confused_classes(inputs: ReportInputs) -> list[ReportWarning]:
    """Classes most of whose images lie nearer to one and the same other class."""
    scores = inputs.analysis.images
    if scores is None:
        return []
    data, confusions = inputs.data, dict[int, tuple[int, int, int]]()
    rows = data.images["row"].to_numpy()
    for row in np.unique(rows[scores.margin > 0]).tolist():
        in_class = rows == row
        nearer = scores.nearest[in_class & (scores.margin > 0)]
        others, counts = np.unique(nearer, return_counts=True)
        judged = int((~np.isnan(scores.margin[in_class])).sum())
        if judged >= 2 and counts.max() >= _MIN_FRACTION * judged:
            confusions[row] = (int(others[counts.argmax()]), int(counts.max()), judged)
    result = []
    for row, (other, count, judged) in confusions.items():
        is_mutual = confusions.get(other, (-1, 0, 0))[0] == row
        if is_mutual and row > other:
            continue
        pair = [row, other]
        if is_mutual:
            title = f"{class_names(data, [row])} and {class_names(data, [other])} look swapped"
            detail = "Most images of each lie nearer to the center of the other. Are their labels swapped?"
        else:
            title = f"{class_names(data, [row])} holds mostly images of another class"
            detail = f"{count} of {judged} images lie nearer to the center of {class_names(data, [other])}."
        result.append(ReportWarning(PROBLEM if is_mutual else WARNING, title, detail, pair))
    return result


def _identical_images(inputs: ReportInputs) -> list[ReportWarning]:
    """Classes that show one picture again and again, whatever its bytes."""
    result = []
    for row, wnid in enumerate(inputs.data.classes["wnid"]):
        strip = inputs.strips.get(wnid)
        dhashes = (
            [look for position, look in enumerate(strip.dhashes) if position not in strip.missing] if strip else []
        )
        size = largest_group(dhashes)
        if size >= max(3, _MIN_FRACTION * len(dhashes)):
            title = f"{class_names(inputs.data, [row])} shows one picture {size} times"
            result.append(ReportWarning(PROBLEM, title, f"{size} of {len(dhashes)} pictures look the same.", [row]))
    return result


def largest_group(dhashes: Sequence[int], bits: int = NEAR_BITS) -> int:
    """Most pictures that look like one of them."""
    return max((sum((one ^ other).bit_count() <= bits for other in dhashes) for one in dhashes), default=0)


def _cross_class_duplicates(inputs: ReportInputs) -> list[ReportWarning]:
    cross_class_duplicates = inputs.fetch_stats.cross_class_duplicates
    if not cross_class_duplicates:
        return []
    place = {wnid: row for row, wnid in enumerate(inputs.data.classes["wnid"])}
    rows = sorted({place[wnid] for wnids in cross_class_duplicates for wnid in wnids if wnid in place})
    detail = f"Equal pixels: {class_names(inputs.data, rows)}. inspect.cross_class_duplicates=drop leaves them out."
    return [
        ReportWarning(WARNING, f"{plural(len(cross_class_duplicates), 'image')} in more than one class", detail, rows)
    ]


def _random_weights(inputs: ReportInputs) -> list[ReportWarning]:
    centers = inputs.data.centers
    if centers is None or not centers.metadata.get("weights", "").startswith("random"):
        return []
    detail = "Results are meaningless, for trying the program only. backbone.pretrained=true loads real weights."
    return [ReportWarning(WARNING, "The backbone has random weights", detail)]


def _low_accuracy(inputs: ReportInputs) -> list[ReportWarning]:
    metrics = inputs.data.metrics
    distance = best_distance(metrics)
    top1 = value(metrics, distance, "top1")
    classes = int(metrics.get("classes") or 0)
    if top1 is None or classes < 2 or top1 >= (least := min(0.8, max(5 / classes, 0.3))):
        return []
    right = f"The best distance, {distance}, is right on {percent(top1)} of the images"
    detail = f"{right}; less than {percent(least, 0)} needs an explanation."
    return [ReportWarning(WARNING, "The centers do not tell the classes apart", detail)]


def _unreadable_images(inputs: ReportInputs) -> list[ReportWarning]:
    data = inputs.data
    rows = [row for row, wnid in enumerate(data.classes["wnid"]) if (s := inputs.strips.get(wnid)) and s.missing]
    count = sum(len(inputs.strips[data.classes["wnid"][row]].missing) for row in rows)
    warnings = []
    if count:
        detail = f"They are in the manifest, but their files are gone or unreadable: {class_names(data, rows)}."
        warnings.append(ReportWarning(PROBLEM, f"{plural(count, 'picture')} missing", detail, rows))
    if skipped := data.metrics.get("skipped"):
        detail = "; ".join(f"{one.get('path')}: {one.get('reason')}" for one in skipped[:5])
        warnings.append(ReportWarning(WARNING, f"{plural(len(skipped), 'image')} without an embedding", detail))
    return warnings


def _single_images(inputs: ReportInputs) -> list[ReportWarning]:
    centers = inputs.data.centers
    if centers is None:
        return []
    singles = int((centers.counts == 1).sum())
    warnings = []
    if len(centers.counts) == 1:
        warnings.append(note("There is one class", "There is no other class, so no similarity and no accuracy."))
    if singles:
        detail = "They have no spread and no leave-one-out evaluation; the tables show a dash."
        warnings.append(note(f"{plural(singles, 'class', 'classes')} of a single image", detail))
    return warnings


def _missing_embeddings(inputs: ReportInputs) -> list[ReportWarning]:
    data = inputs.data
    if data.stale_centers is not None:
        return []
    if data.centers is None:
        return [
            note(
                "There are no centers", "Run the stages centers and evaluate to see maps and likely mislabelled images."
            )
        ]
    if inputs.analysis.images is None and len(data.images):
        return [note("The embeddings were not kept", "Images cannot be scored; set centers.cache_embeddings=always.")]
    # Those that could not be read have a warning of their own.
    missing = unscored(data, inputs.analysis).get(NO_EMBEDDING, 0) - len(data.metrics.get("skipped") or ())
    if missing > 0:
        detail = "They have no embedding beside the data set; stages=[centers,evaluate,report] makes it."
        return [note(f"{missing:,} of {plural(len(data.images), 'image')} not scored", detail)]
    return []
