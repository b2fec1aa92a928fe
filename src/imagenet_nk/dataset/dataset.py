"""The data set folder as a whole: whose it is, what is known of it, its files and tables once classes are settled."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from imagenet_nk.config import Materialize, Retry
from imagenet_nk.dataset import class_table, draw_mismatch, manifest
from imagenet_nk.dataset.files import TERMS
from imagenet_nk.dataset.image_store import translated
from imagenet_nk.dataset.ledger import KEPT, UNREACHED, Ledger
from imagenet_nk.dataset.object_store import open_store, own
from imagenet_nk.dataset.records import CandidateRecord, file_name, is_there, known, lost
from imagenet_nk.dataset.summary import Summary, SummaryBuilder
from imagenet_nk.dataset.table_rows import COLUMNS, FORMAT, IMAGE_ID, SHA256, VERDICT, Rows, TableContext, Target
from imagenet_nk.errors import DatasetError
from imagenet_nk.reasons import Reason
from imagenet_nk.storage import files
from imagenet_nk.storage.locators import text_to_path

log = logging.getLogger(__name__)

RECHECK = "open"  # no fingerprint: a run has ended, and the same command looks whether there is more by now


class ClassVerdicts(Protocol):
    """What the draw order of a class came to."""

    @property
    def wnid(self) -> str: ...

    def verdicts(self) -> Mapping[tuple[str, int, str], str]:
        """By (source, rank, key) of every candidate that was reached: why it is not kept, or ""."""


class DataSet:
    """One data set folder, open."""

    def __init__(self, folder: Path, home: Path | None = None) -> None:
        """home: the folder of this machine that has the ledger; the same one if None."""
        self.folder, home = folder, home or folder
        self.store = open_store(folder)
        self.ledger = Ledger(home)
        self.lost: dict[str, int] = {}  # by class, images that earlier runs kept and whose files are gone or damaged
        if files.is_remote(folder):
            own(folder, home)

    # --- whose it is

    def check(self, draw: Mapping[str, object]) -> None:
        """Raise DatasetError if the folder was made by another draw than this: {"seed": 0, "source": ...}."""
        stamp = self.ledger.meta().get("draw", {})
        for name, value in draw.items():
            if (made_with := stamp.get(name, value)) == value:
                continue
            what, back = draw_mismatch.said(name, made_with, value)
            raise DatasetError(
                f"{self.folder} was made {what}: {back} to go on with it, or dataset.dir=ANOTHER for one of its own"
            )

    @property
    def begun(self) -> bool:
        """Whether the first source has been open for this folder."""
        return "identity" in self.ledger.meta().get("draw", {})

    def claim(self, draw: Mapping[str, object]) -> None:
        """Make the folder that of a draw, once it is known that there is something to draw from."""
        self.check(draw)
        self.ledger.note({"draw": {**self.ledger.meta().get("draw", {}), **draw}})

    # --- what is known of it

    def ask(self, wnids: Sequence[str], nk: int | None, materialize: Mapping[str, Materialize]) -> None:
        """Note what a collection is after, for whoever finds the folder if that collection is killed."""
        self.ledger.note({"asked": {"wnids": list(wnids), "nk": nk, "materialize": dict(materialize)}})

    def facts(self, wnid: str, retry: Retry, since: float = math.inf) -> dict[tuple[str, int, str], CandidateRecord]:
        """What earlier runs settled of a class, by (source, rank, key), without what is to be asked again.

        An image counts only if its file is still there and complete. `since`: rows with a higher id are of this run.
        """
        rows, sizes = list(self.ledger.settled(wnid)), self.store.sizes(wnid)
        self.lost.setdefault(wnid, lost(rows, sizes, since))  # as it was before this run fetched any again
        return known(rows, sizes, retry, since)

    def is_done(self, fingerprint: str, wnids: Sequence[str]) -> bool:
        """Whether a run with this fingerprint has ended here, and all that it kept is still there."""
        if self.ledger.meta().get("done") != fingerprint:
            return False
        return all(self._whole(wnid) for wnid in wnids)

    def _whole(self, wnid: str) -> bool:
        sizes = self.store.sizes(wnid)
        kept = [row for row in self.ledger.settled(wnid) if row["verdict"] == KEPT]
        return all(is_there(row, sizes) or (row["path"] and text_to_path(row["path"]).is_file()) for row in kept)

    # --- when classes are settled

    def finish(self, walks: Sequence[ClassVerdicts], stamp: str, tables: TableContext) -> Summary:
        """Write the verdicts of the whole run, make images/ hold exactly what is kept, and write the tables.

        `stamp`: a fingerprint that is_done() will know, OPEN, or "" for a run that did not come to its end.
        """
        self.ledger.flush()
        self.store.refresh()
        self.ledger.note({"done": ""})  # from here on it is no longer what an earlier run left
        by_wnid = {walk.wnid: walk for walk in walks}

        def settled(wnid: str, rows: Rows) -> Sequence[str]:
            walk = by_wnid.get(wnid)
            return self._settle_class(walk, rows, tables.materialize) if walk else _verdicts(wnid, rows)

        summary = self._write(tables, settled)
        self.ledger.flush()
        may_have_more = stamp and Reason.UNLISTED in summary.reasons
        self.ledger.note({"done": RECHECK if may_have_more else stamp})
        return summary

    def write_tables(self, tables: TableContext) -> Summary:
        """Write manifest.parquet, manifest.csv and classes.csv by the verdicts that the ledger has."""
        return self._write(tables, _verdicts)

    def _settle_class(self, walk: ClassVerdicts, rows: Rows, materialize: Mapping[str, Materialize]) -> list[str]:
        """Verdicts of the rows, now in the ledger as well."""
        walked = walk.verdicts()
        verdicts, changed, keep, unwanted = [], [], set[str](), set[str]()
        for row in rows:
            number, source, rank, _, key, before, reason, _, _, path, image_id, *_ = row
            verdicts.append(verdict := walked.get((source, rank, key), UNREACHED) or KEPT)
            if verdict != before:
                changed.append((verdict, number))
            if reason:
                continue
            name = file_name(image_id, row[FORMAT])
            if verdict == KEPT:
                keep.add(name)
                if path and materialize[source] != Materialize.none:
                    self.store.adopt(walk.wnid, name, text_to_path(path), materialize[source])
            elif verdict != UNREACHED:
                unwanted.add(name)
        self.store.settle(walk.wnid, keep, unwanted - keep)
        self.ledger.judge(changed)
        return verdicts

    # --- its tables

    def want(self, named: Mapping[str, int]) -> None:
        """Note how many images of a class are wanted where nk=null and a list or manifest names them."""
        self.ledger.note({"named": dict(named)})

    def wanted(self, nk: int | None) -> Target:
        """How many images of a class are wanted; None = all that there are."""
        named = self.ledger.meta().get("named", {})
        return lambda wnid: named.get(wnid) if nk is None else nk

    def _write(self, tables: TableContext, judge: Callable[[str, Rows], Sequence[str]]) -> Summary:
        """Write the tables out of the ledger; returns what they add up to. A class's rows are read once.

        Also missing.csv, where images are wanted by name and some could not be fetched.
        """
        named = self.ledger.meta().get("named", {})
        sums = SummaryBuilder(tables)
        with translated(self.folder), manifest.writing(self.folder) as images:
            for position, wnid in enumerate(tables.label_map.wnids):
                rows = self.ledger.outcomes(wnid, COLUMNS)
                kept = sums.add(position, rows, judge(wnid, rows))
                images.add(tables.images(position, kept))
                if wnid in named:
                    by_id = {row[IMAGE_ID]: row[SHA256] for row in kept}
                    sums.missing += class_table.missing(self.ledger.settled(wnid), by_id)
            table = sums.table()
            class_table.write_csv(table, self.folder / "classes.csv")
            class_table.write_missing(sums.missing, self.folder / "missing.csv")
        return sums.summary(table)

    def write_terms(self, texts: Sequence[str]) -> None:
        """Write TERMS.txt."""
        text = "\n\n".join(dict.fromkeys(text.strip() for text in texts if text))
        with translated(self.folder):
            files.write_text(self.folder / TERMS, text + "\n")

    def close(self) -> None:
        self.ledger.close()


def _verdicts(wnid: str, rows: Rows) -> list[str]:  # noqa: ARG001 - of any class
    return [row[VERDICT] for row in rows]


def fingerprint(settings: Mapping[str, object]) -> str:
    """A digest of the settings that a settled data set depends on; files that they name count with size and time."""
    text = json.dumps(_stamped(settings), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _stamped(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _stamped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_stamped(item) for item in value]
    if isinstance(value, str) and 0 < len(value) < 4096 and "\0" not in value and Path(value).is_file():
        stat = Path(value).stat()
        return [value, stat.st_size, stat.st_mtime_ns]
    return value
