"""Whether labels, WNIDs and image ids agree wherever they meet: manifest, lists, centers and known orders."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from imagenet_nk.classes.orders import label_orders
from imagenet_nk.errors import ListError
from imagenet_nk.lists import list_file
from imagenet_nk.report.run_data import RunData
from imagenet_nk.report.warnings.warning import PROBLEM, WARNING, ReportWarning, class_names
from imagenet_nk.storage import files
from imagenet_nk.wording import percent, plural

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
    warnings = []
    for name in ("eval.txt", "train.txt"):
        if not files.is_file(data.folder / name):
            continue
        try:
            entries = list_file.read_list(data.folder / name)
        except ListError as error:
            if len(data.images):
                warnings.append(ReportWarning(PROBLEM, f"{name} cannot be read", str(error)))
            continue
        wrong_entries = [entry for entry in entries if label_of.get(entry.path, entry.label) != entry.label]
        rows = sorted({int(row_of[entry.path]) for entry in wrong_entries})
        if wrong_entries:
            title = f"{plural(len(wrong_entries), 'line')} of {name} with a wrong label"
            first = wrong_entries[0]
            detail = (
                f"{PurePosixPath(first.path).name} has label {first.label} there and {label_of[first.path]} in the "
                f"manifest. Classes: {class_names(data, rows)}. stages=[lists] writes the lists again."
            )
            warnings.append(ReportWarning(PROBLEM, title, detail, rows))
    return warnings


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
    detail = f"{class_names(data, rows)}: run the stages centers and evaluate again."
    return [ReportWarning(PROBLEM, f"{plural(len(wrong), 'center')} under another label", detail, rows)]


def _misnamed_images(data: RunData) -> list[ReportWarning]:
    """Images whose id or file name speaks of another class than the one that they stand in."""
    ids, wnids = data.images["image_id"].tolist(), data.images["wnid"].tolist()
    rows = [
        int(row)
        for image_id, wnid, row in zip(ids, wnids, data.images["row"], strict=True)
        if (id_wnids := _WNID.findall(image_id.removeprefix(wnid))) and wnid not in id_wnids
    ]
    if not rows:
        return []
    classes = sorted(set(rows))
    detail = f"Their ids begin with the WNID of another class: {class_names(data, classes)}."
    return [ReportWarning(PROBLEM, f"{plural(len(rows), 'image')} named after another class", detail, classes)]


def _out_of_order(data: RunData) -> list[ReportWarning]:
    """Labels that follow a known order but for a few classes."""
    label_of = dict(zip(data.classes["wnid"], data.classes["label"].tolist(), strict=True))
    fewest: tuple[str, list[str]] | None = None
    for order, wnid_of in label_orders(list(label_of)).items():
        misplaced = [wnid for wnid, label in label_of.items() if wnid_of.get(label) != wnid]
        if fewest is None or len(misplaced) < len(fewest[1]):
            fewest = order, misplaced
    if fewest is None or not 0 < len(fewest[1]) <= len(label_of) // 3:
        return []
    order, misplaced = fewest
    rows = data.classes.index[data.classes["wnid"].isin(misplaced)].tolist()
    detail = f"All other labels are those of the order {order}. Are these swapped? {class_names(data, rows)}."
    return [ReportWarning(WARNING, f"{plural(len(misplaced), 'class', 'classes')} out of order", detail, rows)]


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
    """Classes that the label check calls swapped or likely mislabelled."""
    check = data.metrics.get("label_check") or {}
    row_of = {wnid: row for row, wnid in enumerate(data.classes["wnid"])}
    warnings = []
    for cycle in check.get("swapped_classes") or []:
        rows = [row_of[wnid] for wnid in cycle if wnid in row_of]
        title = f"The labels of {class_names(data, rows)} look swapped"
        detail = "The classifier takes most images of each of them for another one of them."
        warnings.append(ReportWarning(PROBLEM, title, detail, rows))
    for one in check.get("likely_mislabelled") or []:
        rows = [row_of[wnid] for wnid in (one["wnid"], one["predicted"]) if wnid in row_of]
        name = class_names(data, rows[1:]) if one["predicted"] in row_of else one["predicted"]
        title = f"The classifier takes {class_names(data, rows[:1])} for {name}"
        warnings.append(
            ReportWarning(WARNING, title, f"{percent(one['share'], 0)} of its images. Look at its pictures.", rows)
        )
    return warnings
