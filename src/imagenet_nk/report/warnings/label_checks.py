"""Whether labels, WNIDs and image ids agree wherever they meet: manifest, lists, centers and known orders."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from imagenet_nk.classes.loading import load
from imagenet_nk.config.choices import ClassesConfig, LabelsConfig
from imagenet_nk.errors import LabelError, ListError
from imagenet_nk.lists import list_file
from imagenet_nk.report.run_data import RunData
from imagenet_nk.report.warnings.warning import PROBLEM, WARNING, ReportWarning, named
from imagenet_nk.storage import files
from imagenet_nk.wording import percent, plural

_MIN_HEAD_ACCURACY = 0.5  # top-1 of a classifier whose word counts against a label
_MIN_MAJORITY = 0.6  # of a class's images
_WNID = re.compile(r"n[0-9]{8}")


def find_label_warnings(data: RunData) -> list[ReportWarning]:
    """Every disagreement about labels."""
    return [
        *_wrong_list_labels(data),
        *_wrong_center_labels(data),
        *_misnamed_images(data),
        *_out_of_order(data),
        *_failed_label_check(data),
        *_misclassified_classes(data),
    ]


def _wrong_list_labels(data: RunData) -> list[ReportWarning]:
    """Entries of eval.txt and train.txt whose label is not that of the manifest."""
    label_of = dict(zip(data.images["path"], data.images["label"], strict=True))
    row_of = dict(zip(data.images["path"], data.images["row"], strict=True))
    found = []
    for name in ("eval.txt", "train.txt"):
        if not files.is_file(data.folder / name):
            continue
        try:
            entries = list_file.read_list(data.folder / name)
        except ListError as error:
            if len(data.images):
                found.append(ReportWarning(PROBLEM, f"{name} cannot be read", str(error)))
            continue
        wrong = [entry for entry in entries if label_of.get(entry.path, entry.label) != entry.label]
        rows = sorted({int(row_of[entry.path]) for entry in wrong})
        if wrong:
            title = f"{plural(len(wrong), 'line')} of {name} with a wrong label"
            first = wrong[0]
            detail = (
                f"{PurePosixPath(first.path).name} has label {first.label} there and {label_of[first.path]} in the "
                f"manifest. Classes: {named(data, rows)}. stages=[lists] writes the lists again."
            )
            found.append(ReportWarning(PROBLEM, title, detail, rows))
    return found


def _wrong_center_labels(data: RunData) -> list[ReportWarning]:
    """Rows of centers.safetensors whose label is not the class's."""
    if data.centers is None:
        return []
    label_of = dict(zip(data.classes["wnid"], data.classes["label"], strict=True))
    pairs = zip(data.centers.wnids, data.centers.labels.tolist(), strict=True)
    wrong = [(wnid, label) for wnid, label in pairs if label_of.get(wnid, label) != label]
    if not wrong:
        return []
    rows = data.classes.index[data.classes["wnid"].isin([wnid for wnid, _ in wrong])].tolist()
    detail = f"{named(data, rows)}: run the stages centers and evaluate again."
    return [ReportWarning(PROBLEM, f"{plural(len(wrong), 'center')} under another label", detail, rows)]


def _misnamed_images(data: RunData) -> list[ReportWarning]:
    """Images whose id or file name speaks of another class than the one that they stand in."""
    ids, wnids = data.images["image_id"].tolist(), data.images["wnid"].tolist()
    rows = [
        int(row)
        for image_id, wnid, row in zip(ids, wnids, data.images["row"], strict=True)
        if (said := _WNID.findall(image_id.removeprefix(wnid))) and wnid not in said
    ]
    if not rows:
        return []
    classes = sorted(set(rows))
    detail = f"Their ids begin with the WNID of another class: {named(data, classes)}."
    return [ReportWarning(PROBLEM, f"{plural(len(rows), 'image')} named after another class", detail, classes)]


def _out_of_order(data: RunData) -> list[ReportWarning]:
    """Labels that follow a known order of the 1000 classes but for a few."""
    given = dict(zip(data.classes["wnid"], data.classes["label"].tolist(), strict=True))
    for order in ("sorted", "clsloc"):
        try:
            known = load(ClassesConfig(table="imagenet-1k"), LabelsConfig(order=order))
        except LabelError:
            continue
        label_of = dict(zip(known.wnids, known.labels, strict=True))
        wrong = [wnid for wnid, label in given.items() if label_of.get(wnid) != label]
        if not wrong:
            return []
        if len(wrong) <= len(given) // 3:
            rows = data.classes.index[data.classes["wnid"].isin(wrong)].tolist()
            detail = f"All other labels are those of labels={order}. Are these exchanged? {named(data, rows)}."
            return [ReportWarning(WARNING, f"{plural(len(wrong), 'class', 'classes')} out of order", detail, rows)]
    return []


def _failed_label_check(data: RunData) -> list[ReportWarning]:
    """The label check of the stage evaluate."""
    check = data.metrics.get("label_check") or {}
    if not check.get("labels_wrong"):
        return []
    return [
        ReportWarning(
            PROBLEM, "The backbone's own classifier disagrees with the labels", f"{check.get('message', '')}."
        )
    ]


def _misclassified_classes(data: RunData) -> list[ReportWarning]:
    """Classes most of whose images the backbone's own classifier takes for one other class.

    Only of a classifier that is right on most images of the others, and where the label check has not condemned all.
    """
    check, head = data.metrics.get("label_check") or {}, data.metrics.get("classifier_head") or {}
    if check.get("labels_wrong") or head.get("top1", 0) < _MIN_HEAD_ACCURACY:
        return []
    place = {wnid: row for row, wnid in enumerate(data.classes["wnid"])}
    called = {
        one["wnid"]: (one["head_majority"], one["head_share"])
        for one in data.metrics.get("per_class") or []
        if one.get("head_share", 0) >= _MIN_MAJORITY and one["head_majority"] != one["wnid"] and one["wnid"] in place
    }
    found = []
    for wnid, (other, share) in called.items():
        back = called.get(other, ("", 0))[0] == wnid
        if back and place[wnid] > place[other]:
            continue
        rows = [place[one] for one in (wnid, other) if one in place]
        name = f"{named(data, rows[1:])}" if len(rows) > 1 else other
        if back:
            title = f"The classifier takes {named(data, rows[:1])} for {name}, and the other way round"
            found.append(ReportWarning(PROBLEM, title, "Most images of each. Are the two exchanged?", rows))
        else:
            title = f"The classifier takes {named(data, rows[:1])} for {name}"
            found.append(
                ReportWarning(WARNING, title, f"{percent(share, 0)} of its images. Look at its pictures.", rows)
            )
    return found
