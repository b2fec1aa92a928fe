"""Tables that say of which class each image is, where neither its folder nor its name does."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imagenet_nk.classes.loading import clsloc_wnids
from imagenet_nk.config.sources import NumberOrder, Part
from imagenet_nk.errors import SourceError
from imagenet_nk.formats.numbers import parse_number
from imagenet_nk.image_ids import WNID
from imagenet_nk.sources import devkit
from imagenet_nk.sources.local.class_names import wnid_by_number, wnids_of
from imagenet_nk.sources.official import DEVKIT
from imagenet_nk.wording import one_line

SOLUTION = "LOC_val_solution.csv"  # Kaggle's: ImageId,PredictionString = stem,"wnid x y x y ..."
_ANNOTATIONS = "val_annotations.txt"  # Tiny ImageNet's: file, WNID, box, with tabs
_FIFTYONE = "labels.json"  # {"classes": [name, ...], "labels": {stem: index}}
_LISTS = {Part.val: ("val.txt", "val_map.txt"), Part.train: ("train.txt", "train_map.txt")}  # `file number`
TABLES = (_FIFTYONE, SOLUTION, _ANNOTATIONS, DEVKIT.name, *_LISTS[Part.val], *_LISTS[Part.train])
_UNPACKED_DEVKIT, _UNPACKED_TRUTH = "ILSVRC2012_devkit_t12", "data/ILSVRC2012_validation_ground_truth.txt"

GroundTruth = dict[str, list[str]]  # WNID -> file stems


def find_truth(folders: Sequence[Path], part: Part, order: NumberOrder | None) -> GroundTruth | None:
    """The table in the first of these folders that has one. Raises SourceError if it cannot be read."""
    for folder in folders:
        if (table := folder / _FIFTYONE).is_file() and (truth := read_fiftyone(table, order)):
            return truth
        if part is Part.val and (truth := find_validation_truth(folder)):
            return truth
    for folder in folders:
        for name in _LISTS[part]:
            if (table := folder / name).is_file() and (truth := read_numbers(table, order)):
                return truth
    return None


def find_validation_truth(folder: Path) -> GroundTruth | None:
    """Kaggle's or Tiny ImageNet's table, or the devkit, in a folder; None without. Raises SourceError."""
    if (table := folder / SOLUTION).is_file():
        return read_solution(table)
    if (table := folder / _ANNOTATIONS).is_file():
        return read_annotations(table)
    kits = (folder / DEVKIT.name, folder / _UNPACKED_DEVKIT)
    kit = next((kit for kit in kits if (kit / _UNPACKED_TRUTH).is_file() or kit.is_file()), None)
    return devkit.val_images(kit, clsloc_wnids()) if kit else None


def read_solution(path: Path) -> GroundTruth:
    """Kaggle's table. Raises SourceError with the number of the first line without a class."""
    truth: GroundTruth = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            for row in reader:
                stem, wnid = row.get("ImageId") or "", (row.get("PredictionString") or "").partition(" ")[0]
                if not stem or not WNID.match(wnid):
                    raise SourceError(f"{path}, line {reader.line_num}: no image and its class; expected is {SOLUTION}")
                truth.setdefault(wnid, []).append(stem)
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read: {one_line(error)}") from error
    return truth


def read_annotations(path: Path) -> GroundTruth:
    """Tiny ImageNet's table: file, WNID and box. Raises SourceError with the number of the first other line."""
    truth: GroundTruth = {}
    for number, fields in _rows(path):
        if len(fields) < 2 or not WNID.match(fields[1]):
            raise SourceError(f"{path}, line {number}: no file and its WNID; expected is Tiny ImageNet's {path.name}")
        truth.setdefault(fields[1], []).append(stem_of(fields[0]))
    return truth


def read_numbers(path: Path, order: NumberOrder | None) -> GroundTruth | None:
    """Caffe's val.txt and ImageNet-Zip's val_map.txt: a file and the number of its class. None for another list.

    Raises SourceError for a line of another form, and for numbers whose order is not stated.
    """
    rows = list(_rows(path))
    if not rows or len(rows[0][1]) != 2:
        return None  # a list of something else
    numbers = []
    for number, fields in rows:
        if len(fields) != 2 or (label := parse_number(fields[1])) is None:
            raise SourceError(f"{path}, line {number}: no file and the number of its class")
        numbers.append(label)
    by_number = wnid_by_number(numbers, order, str(path))
    truth: GroundTruth = {}
    for (_, fields), label in zip(rows, numbers, strict=True):
        truth.setdefault(by_number[label], []).append(stem_of(fields[0]))
    return truth


def read_fiftyone(path: Path, order: NumberOrder | None) -> GroundTruth | None:
    """FiftyOne's labels.json. None if it is another json; raises SourceError if its classes have no meaning."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        classes, labels = content["classes"], content["labels"]
        named = {
            stem: label if isinstance(label, str) else classes[label]
            for stem, label in labels.items()
            if label is not None
        }
    except (KeyError, TypeError, AttributeError):
        return None
    except (OSError, ValueError, IndexError, RecursionError) as error:
        raise SourceError(f"{path} cannot be read: {one_line(error)}") from error
    if not named:
        return None
    if not (wnids := wnids_of({str(name) for name in named.values()}, order, str(path))):
        raise SourceError(f"{path} has no class of ImageNet, but {next(iter(named.values()))!r} and others")
    truth: GroundTruth = {}
    for stem, name in named.items():
        if str(name) in wnids:
            truth.setdefault(wnids[str(name)], []).append(stem)
    return truth


def stem_of(path: str) -> str:
    """`ILSVRC2012_val_00000001` of `val/ILSVRC2012_val_00000001.JPEG`."""
    name = path.replace("\\", "/").rpartition("/")[2]
    return name.rpartition(".")[0] or name


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Number and fields of each line that is not empty."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read: {one_line(error)}") from error
    return [(number, fields) for number, line in enumerate(lines, 1) if (fields := line.split())]
