"""What a collected data set holds, as tables: the manifest of kept images, and one row a class."""

from __future__ import annotations

import csv
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from imagenet_nk import storage

MANIFEST = "manifest.parquet"
MANIFEST_COLUMNS = {
    "image_id": "string",
    "wnid": "string",
    "label": "int64",
    "path": "string",
    "split": "string",
    "source": "string",
    "url": "string",
    "final_url": "string",
    "sha256": "string",
    "bytes": "int64",
    "width": "int64",
    "height": "int64",
    "format": "string",
    "mode": "string",
    "fetched_at": "string",
}
MISSING_COLUMNS = ["image_id", "wnid", "url", "reason", "detail"]
_CLASS_COLUMNS = ["label", "wnid", "name", "wanted", "kept", "tried"]


_ROW_GROUP = 100_000  # rows of the manifest that are held at once


class Manifest:
    """The two manifests on their way: rows are added class by class, so that they need never be in memory at once."""

    def __init__(self, parquet: pq.ParquetWriter, text: IO[str], schema: pa.Schema) -> None:
        self._parquet, self._csv, self._schema = parquet, csv.writer(text, lineterminator="\n"), schema
        self._csv.writerow(MANIFEST_COLUMNS)
        self._rows: list[tuple[object, ...]] = []
        self.count = 0

    def add(self, rows: Sequence[tuple[object, ...]]) -> None:
        """Rows of kept images, in list order, with values in the order of MANIFEST_COLUMNS."""
        self._csv.writerows(rows)
        self._rows += rows
        self.count += len(rows)
        if len(self._rows) >= _ROW_GROUP:
            self.flush()

    def flush(self) -> None:
        """Write what was added as a row group; a manifest without rows has one of none."""
        columns = zip(*self._rows, strict=True) if self._rows else [()] * len(self._schema)
        arrays = [pa.array(values, kind) for values, kind in zip(columns, self._schema.types, strict=True)]
        self._parquet.write_table(pa.table(arrays, self._schema))
        self._rows = []


@contextmanager
def writing_manifest(folder: Path) -> Iterator[Manifest]:
    """manifest.parquet and manifest.csv of a data set folder, complete when the block ends well."""
    schema = pa.Table.from_pandas(manifest([]), preserve_index=False).schema
    with (
        storage.whole(folder / "manifest.csv") as to_csv,
        storage.whole(folder / MANIFEST) as to_parquet,
        to_csv.open("w", encoding="utf-8", newline="") as text,
        pq.ParquetWriter(to_parquet, schema) as parquet,
    ):
        rows = Manifest(parquet, text, schema)
        yield rows
        if rows._rows or not rows.count:
            rows.flush()


def manifest(rows: Iterable[dict[str, object]]) -> pd.DataFrame:
    """Rows of kept images, in list order, as a table with the columns and types of MANIFEST_COLUMNS."""
    frame = pd.DataFrame(list(rows), columns=list(MANIFEST_COLUMNS))
    return frame.astype(MANIFEST_COLUMNS)


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


def missing(settled: Iterable[sqlite3.Row], kept: Collection[str]) -> list[dict[str, object]]:
    """Images that a list or manifest names and that the source did not give, out of a class's rows of the ledger."""
    lost = (row for row in settled if row["rank"] == 0 and row["reason"] and row["key"] not in kept)
    return [{"image_id": row["key"], **{name: row[name] for name in MISSING_COLUMNS[1:]}} for row in lost]


def write_missing(rows: Sequence[dict[str, object]], path: Path) -> None:
    """Write the table of missing images; none if there are none."""
    if rows:
        write_csv(pd.DataFrame(rows, columns=MISSING_COLUMNS), path)
    else:
        path.unlink(missing_ok=True)


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table, complete or not at all."""
    with storage.whole(path) as part:
        frame.to_csv(part, index=False, lineterminator="\n")


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write a table, complete or not at all."""
    with storage.whole(path) as part:
        frame.to_parquet(part, index=False)


def read_manifest(folder: Path) -> pd.DataFrame:
    """The manifest of a data set folder."""
    with (folder / MANIFEST).open("rb") as file:
        return pd.read_parquet(file)


def manifest_rows(folder: Path, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Values of those columns of the manifest, row by row."""
    with (folder / MANIFEST).open("rb") as file:
        for batch in pq.ParquetFile(file).iter_batches(_ROW_GROUP, columns=list(columns)):
            yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)
