"""Stage `lists`: eval.txt and train.txt out of the manifest, and the lists as the later stages read them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pandas as pd

from imagenet_nk.classes.label_map import LabelMap
from imagenet_nk.dataset.class_table import write_csv
from imagenet_nk.dataset.folder_layout import MANIFEST
from imagenet_nk.dataset.manifest import apply_split, iter_columns
from imagenet_nk.errors import DatasetError
from imagenet_nk.lists import list_file
from imagenet_nk.lists.list_file import Entry, write_list
from imagenet_nk.sampling.draw_order import Split
from imagenet_nk.storage.files import is_file, stat_many
from imagenet_nk.wording import plural

log = logging.getLogger(__name__)

EVAL, TRAIN, LABELS = "eval.txt", "train.txt", "labels.csv"
_SPLITS = {"eval": EVAL, "train": TRAIN}
_BATCH = 10_000  # images whose files are looked at together
_LABELS_COLUMNS = ["label", "wnid", "words", "table_label"]  # what a renumbered label was before: a row a class


@dataclass(frozen=True)
class LoadedLists:
    """What the stages after `lists` work on."""

    entries: list[tuple[Path, int]]  # images and labels for the centers: train.txt where there is one, else eval.txt
    held_out: list[tuple[Path, int]]  # those that evaluate the centers: eval.txt beside a train.txt, else none
    sha256: str  # of the list for the centers


def write(folder: Path, label_map: LabelMap, separator: str, split: Split) -> int:
    """Write eval.txt, and train.txt where the split has images for it; with renumbered labels also labels.csv.

    A manifest that was written under another split is brought to this one first. Returns how many of its images have
    no line, because their file is gone or has another size.
    """
    if not is_file(folder / MANIFEST):
        raise DatasetError(f"{folder} holds no {MANIFEST}: run the stage collect first, stages=[collect,lists]")
    if apply_split(folder, split):
        log.info("%s: the images are divided again, by the present split", folder)
    counts, missing = Counter(part for (part,) in iter_columns(folder, ["split"])), list[str]()
    for part, name in _SPLITS.items():
        if counts[part] or name == EVAL:
            before = len(missing)
            write_list(folder / name, _entries(folder, part, missing), separator)
            counts[part] -= len(missing) - before
        else:
            (folder / name).unlink(missing_ok=True)
    if label_map.labels != label_map.table_labels:
        write_csv(pd.DataFrame(label_map.rows(), columns=_LABELS_COLUMNS), folder / LABELS)
    if missing:
        log.warning(
            "%s of the manifest left out of the lists, because the file is gone or has another size (first: %s); the "
            "stage collect fetches them again: stages=[collect,lists]",
            plural(len(missing), "image"),
            missing[0],
        )
    written = ", ".join(f"{counts[part]} entries in {name}" for part, name in _SPLITS.items() if counts[part])
    log.info("%s: %s", folder, written or f"no image is kept, so {EVAL} is empty")
    return len(missing)


def _entries(folder: Path, part: str, missing: list[str]) -> Iterator[Entry]:
    """The images of a part of the split whose files are there with their size; the paths of others go to `missing`."""
    rows = iter_columns(folder, ["path", "label", "split", "bytes"])
    wanted = ((Entry(path, label), size) for path, label, of, size in rows if of == part)
    while batch := list(islice(wanted, _BATCH)):
        statuses = stat_many([list_file.resolve(folder / EVAL, entry) for entry, _ in batch])
        for (entry, size), status in zip(batch, statuses, strict=True):
            if status is not None and status.size == size:
                yield entry
            else:
                missing.append(entry.path)


def read(folder: Path) -> LoadedLists:
    """The lists of a data set folder. Raises ListError if there are none."""
    paths = _list_paths(folder)
    entries, *held_out = [
        [(list_file.resolve(path, entry), entry.label) for entry in list_file.read_list(path)] for path in paths
    ]
    return LoadedLists(entries, held_out[0] if held_out else [], list_file.sha256(paths[0]))


def warn_of_another_split(lists: LoadedLists, split: Split) -> None:
    """Log a warning if the lists are divided in another way than `split` would divide them."""
    held_out, entries = (Counter(label for _, label in part) for part in (lists.held_out, lists.entries))
    eval_counts, train_counts = (held_out, entries) if lists.held_out else (entries, Counter[int]())
    totals = eval_counts + train_counts
    if any(eval_counts[label] != split.held_out(total) for label, total in totals.items()):
        log.warning(
            "the lists are not divided as split= says, and are used as they are; the stage lists divides them again: "
            "stages=[lists,...]"
        )


def digest(folder: Path) -> str:
    """SHA-256 of the list for the centers; "" where there is none."""
    path = _list_paths(folder)[0]
    return list_file.sha256(path) if is_file(path) else ""


def _list_paths(folder: Path) -> list[Path]:
    """The list for the centers, then the one that evaluates them if that is another."""
    return [folder / name for name in (TRAIN, EVAL) if is_file(folder / name)] or [folder / EVAL]


def check_images_exist(folder: Path, lists: LoadedLists) -> None:
    """Raise DatasetError if another run has replaced the list of the folder, and removed images of this one."""
    if read(folder).sha256 == lists.sha256:
        return
    removed = [path for path, _ in [*lists.entries, *lists.held_out] if not is_file(path)]
    if removed:
        raise DatasetError(
            f"another run has changed {folder} meanwhile and removed {len(removed)} images of this run's list "
            f"(first: {removed[0]}); jobs that want different images need a folder each, dataset.dir=ANOTHER"
        )
