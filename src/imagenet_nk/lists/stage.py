"""Stage `lists`: eval.txt and train.txt out of the manifest, and the lists as the later stages read them."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from imagenet_nk.classes.label_map import LabelMap
from imagenet_nk.dataset.class_table import write_csv
from imagenet_nk.dataset.folder_layout import MANIFEST
from imagenet_nk.dataset.manifest import apply_split, iter_columns
from imagenet_nk.errors import DatasetError
from imagenet_nk.lists import list_file
from imagenet_nk.lists.list_file import Entry
from imagenet_nk.sampling.draw_order import Split
from imagenet_nk.storage import files

log = logging.getLogger(__name__)

EVAL, TRAIN, DENSE = "eval.txt", "train.txt", "labels.csv"
_SPLITS = ((EVAL, "eval"), (TRAIN, "train"))
_DENSE_COLUMNS = ["label", "wnid", "words", "table_label"]  # what a renumbered label was before: a row a class


@dataclass(frozen=True)
class LoadedLists:
    """What the stages after `lists` work on."""

    entries: list[tuple[Path, int]]  # the images that make centers: train.txt where there is one, else eval.txt
    held_out: list[tuple[Path, int]]  # the images that judge them: eval.txt beside a train.txt, else none
    sha256: str  # of the list that makes centers


def write(folder: Path, label_map: LabelMap, separator: str, split: Split) -> None:
    """Write eval.txt, and train.txt where the split has images for it; with renumbered labels also labels.csv.

    A manifest that was written under another split is brought to this one first.
    """
    if not files.is_file(folder / MANIFEST):
        raise DatasetError(f"{folder} holds no {MANIFEST}: run the stage collect first, stages=[collect,lists]")
    if apply_split(folder, split):
        log.info("%s: the images are divided anew, as split= asks", folder)
    counts = Counter(part for (part,) in iter_columns(folder, ["split"]))
    for name, part in _SPLITS:
        if counts[part] or name == EVAL:
            rows = iter_columns(folder, ["path", "label", "split"])
            list_file.write_list(
                folder / name, (Entry(path, label) for path, label, of in rows if of == part), separator
            )
        else:
            (folder / name).unlink(missing_ok=True)
    if label_map.labels != label_map.table_labels:
        write_csv(pd.DataFrame(label_map.rows(), columns=_DENSE_COLUMNS), folder / DENSE)
    made = ", ".join(f"{counts[part]} entries in {name}" for name, part in _SPLITS if counts[part])
    log.info("%s: %s", folder, made or f"no image is kept, so {EVAL} is empty")


def read(folder: Path) -> LoadedLists:
    """The lists of a data set folder. Raises ListError if there are none."""
    parts = _parts(folder)
    entries, *held_out = [
        [(list_file.resolve(path, entry), entry.label) for entry in list_file.read_list(path)] for path in parts
    ]
    return LoadedLists(entries, held_out[0] if held_out else [], list_file.sha256(parts[0]))


def warn_of_another_split(listed: LoadedLists, split: Split) -> None:
    """Say so in the log where the lists were not divided as `split` would."""
    held_out, entries = (Counter(label for _, label in part) for part in (listed.held_out, listed.entries))
    judges, makes = (held_out, entries) if listed.held_out else (entries, Counter[int]())
    if any(judges[label] != split.held_out(judges[label] + makes[label]) for label in judges | makes):
        log.warning(
            "the lists are not divided as split= says, and are taken as they are; the stage lists divides them anew: "
            "stages=[lists,...]"
        )


def digest(folder: Path) -> str:
    """SHA-256 of the list that makes centers; "" where there is none."""
    path = _parts(folder)[0]
    return list_file.sha256(path) if files.is_file(path) else ""


def _parts(folder: Path) -> list[Path]:
    """The list that makes centers, then the one that judges them if that is another."""
    return [folder / name for name in (TRAIN, EVAL) if files.is_file(folder / name)] or [folder / EVAL]


def check_still_there(folder: Path, listed: LoadedLists) -> None:
    """Raise DatasetError if another run has since given the folder another list, and taken away images of this one."""
    if read(folder).sha256 == listed.sha256:
        return
    gone = [path for path, _ in [*listed.entries, *listed.held_out] if not files.is_file(path)]
    if gone:
        raise DatasetError(
            f"another run has changed {folder} meanwhile: {len(gone)} images of this run's list are gone from it "
            f"(first: {gone[0]}); jobs that want different images take a folder each, dataset.dir=ANOTHER"
        )
