"""What a collected data set holds, as tables: the manifest of kept images, and one row a class."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from imagenet_nk.storage import files

MISSING_COLUMNS = ["image_id", "wnid", "url", "reason", "detail"]
_CLASS_COLUMNS = ["label", "wnid", "name", "wanted", "kept", "tried"]


@dataclass(frozen=True)
class Row:
    """A class in classes.csv."""

    fixed: dict[str, object]  # _CLASS_COLUMNS
    reasons: Counter[str]  # rejections
    about: dict[str, object]  # what the class is: columns behind the reasons


def classes(rows: Sequence[Row]) -> pd.DataFrame:
    """One row a class: the fixed columns, one a rejection reason, most frequent first, and what the class is."""
    total: Counter[str] = sum((row.reasons for row in rows), Counter())
    order = sorted(total, key=lambda reason: (-total[reason], reason))
    records = [{**row.fixed, **{reason: row.reasons[reason] for reason in order}, **row.about} for row in rows]
    return pd.DataFrame(records, columns=None if records else _CLASS_COLUMNS)


def missing(settled: Iterable[sqlite3.Row], kept: Mapping[str, str]) -> list[dict[str, object]]:
    """Images that a list or manifest names and that could not be fetched, out of a class's rows of the ledger.

    `kept`: SHA-256 by image id. A fallback makes up for an image by the same id, if it has the same bytes where a
    manifest says which.
    """
    lost = []
    for row in settled:
        there = kept.get(row["key"])
        if row["rank"] or not row["reason"] or (there is not None and row["sha256"] in ("", there)):
            continue
        another = "" if there is None else "the fallback gave another picture of this name"
        detail = "; ".join(filter(None, (row["detail"], another)))
        lost.append({"image_id": row["key"], **{name: row[name] for name in MISSING_COLUMNS[1:]}, "detail": detail})
    return lost


def write_missing(rows: Sequence[dict[str, object]], path: Path) -> None:
    """Write the table of missing images; none if there are none."""
    if rows:
        write_csv(pd.DataFrame(rows, columns=MISSING_COLUMNS), path)
    else:
        path.unlink(missing_ok=True)


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table, complete or not at all."""
    with files.atomic_write(path) as part:
        frame.to_csv(part, index=False, lineterminator="\n")


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write a table, complete or not at all."""
    with files.atomic_write(path) as part:
        frame.to_parquet(part, index=False)
