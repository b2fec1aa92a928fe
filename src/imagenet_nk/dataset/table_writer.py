"""The files that a run leaves for the user: images in their place, manifest, classes.csv, missing.csv, TERMS.txt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from imagenet_nk.config.sources import Materialize
from imagenet_nk.dataset.class_table import missing_images, write_csv, write_missing
from imagenet_nk.dataset.folder_layout import IMAGES, TERMS
from imagenet_nk.dataset.folder_state import FolderState
from imagenet_nk.dataset.image_store import ImageStore, as_dataset_error
from imagenet_nk.dataset.ledger import KEPT, UNREACHED, CandidateKey, FinalAttempt, Ledger
from imagenet_nk.dataset.manifest import ManifestRow, open_writer
from imagenet_nk.dataset.summary import Summary, SummaryBuilder, TableContext
from imagenet_nk.reasons import Reason
from imagenet_nk.storage.files import write_text
from imagenet_nk.storage.locators import text_to_path

RECHECK = "open"  # completion stamp instead of a fingerprint: the same command looks whether there are more by now


class ClassVerdicts(Protocol):
    """What the draw order of a class came to."""

    @property
    def wnid(self) -> str: ...

    def verdicts(self) -> Mapping[CandidateKey, str]:
        """Of every candidate that was reached: why it is not kept, or ""."""


class TableWriter:
    """Writes them out of the ledger alone."""

    def __init__(self, folder: Path, ledger: Ledger, store: ImageStore, state: FolderState) -> None:
        self._folder, self._ledger, self._store, self._state = folder, ledger, store, state

    def finalize(self, classes: Sequence[ClassVerdicts], stamp: str, context: TableContext) -> Summary:
        """Write the verdicts of the whole run, make images/ hold exactly what is kept, and write the tables.

        `stamp`: what FolderState.completed_by is then: a fingerprint, RECHECK, or "" for a run that did not finish.
        """
        self._ledger.flush()
        self._store.refresh()
        self._state.set_completed_by("")  # the folder is between two states until this returns
        by_wnid = {one_class.wnid: one_class for one_class in classes}

        def verdicts_of(wnid: str, attempts: Sequence[FinalAttempt]) -> list[str]:
            decided = by_wnid.get(wnid)
            if decided is None:
                return _recorded_verdicts(wnid, attempts)
            return self._finalize_class(decided, attempts, context.materialize)

        summary = self._write(context, verdicts_of)
        self._ledger.flush()
        is_partial = bool(stamp) and Reason.UNLISTED in summary.reasons  # its tars may be repaired by then
        self._state.set_completed_by(RECHECK if is_partial else stamp)
        return summary

    def write_tables(self, context: TableContext) -> Summary:
        """Write manifest.parquet, manifest.csv and classes.csv by the verdicts that the ledger has."""
        return self._write(context, _recorded_verdicts)

    def write_terms(self, texts: Sequence[str]) -> None:
        """Write TERMS.txt: where the images come from, and under which terms."""
        text = "\n\n".join(dict.fromkeys(text.strip() for text in texts if text))
        with as_dataset_error(self._folder):
            write_text(self._folder / TERMS, text + "\n")

    def _finalize_class(
        self, decided: ClassVerdicts, attempts: Sequence[FinalAttempt], materialize: Mapping[str, Materialize]
    ) -> list[str]:
        """Write the verdicts of a class to the ledger, and move its files; returns the verdicts, one an attempt."""
        by_candidate = decided.verdicts()
        verdicts = [by_candidate.get(attempt.candidate, UNREACHED) or KEPT for attempt in attempts]
        keep, unwanted = set[str](), set[str]()
        for attempt, verdict in zip(attempts, verdicts, strict=True):
            if attempt.reason:
                continue
            if verdict == KEPT:
                keep.add(attempt.file_name)
                if attempt.path and (how := materialize[attempt.source]) != Materialize.none:
                    self._store.link_or_copy(decided.wnid, attempt.file_name, text_to_path(attempt.path), how)
            elif verdict != UNREACHED:
                unwanted.add(attempt.file_name)
        self._store.arrange(decided.wnid, keep, unwanted - keep)
        pairs = zip(attempts, verdicts, strict=True)
        self._ledger.write_verdicts([(verdict, attempt.id) for attempt, verdict in pairs if verdict != attempt.verdict])
        return verdicts

    def _write(
        self, context: TableContext, verdicts_of: Callable[[str, Sequence[FinalAttempt]], Sequence[str]]
    ) -> Summary:
        """Write the tables and return what they add up to. The rows of a class are read once, and held one class long.

        missing.csv is written only where images are wanted by name and some could not be fetched.
        """
        named_targets = self._state.named_targets
        builder = SummaryBuilder(context)
        with as_dataset_error(self._folder), open_writer(self._folder) as manifest:
            for position, wnid in enumerate(context.label_map.wnids):
                attempts = self._ledger.final_attempts(wnid)
                kept = builder.add(position, attempts, verdicts_of(wnid, attempts))
                manifest.add(manifest_rows(context, position, kept))
                if wnid in named_targets:
                    builder.missing += missing_images(attempts, {row.image_id: row.sha256 for row in kept})
            classes = builder.class_frame()
            write_csv(classes, self._folder / "classes.csv")
            write_missing(builder.missing, self._folder / "missing.csv")
        return builder.summary(classes)


def manifest_rows(context: TableContext, position: int, kept: Sequence[FinalAttempt]) -> list[ManifestRow]:
    """Rows of the manifest: of the kept images of a class, in draw order."""
    wnid, label = context.label_map.wnids[position], context.label_map.labels[position]
    held_out, rows = context.split.held_out(len(kept)), []
    for number, attempt in enumerate(kept):
        is_copied = not attempt.path or context.materialize.get(attempt.source) != Materialize.none
        path = f"{IMAGES}/{wnid}/{attempt.file_name}" if is_copied else attempt.path
        split = "eval" if number < held_out else "train"
        rows.append(
            ManifestRow(
                attempt.image_id, wnid, label, path, split, attempt.source, attempt.url, attempt.final_url,
                attempt.sha256, attempt.bytes, attempt.width, attempt.height, attempt.format, attempt.mode,
                attempt.fetched_at,
            )
        )  # fmt: skip
    return rows


def _recorded_verdicts(wnid: str, attempts: Sequence[FinalAttempt]) -> list[str]:  # noqa: ARG001 - of any class
    return [attempt.verdict for attempt in attempts]
