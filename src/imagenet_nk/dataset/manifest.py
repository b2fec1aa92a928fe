"""The manifest on its way to disk and back, row by row: ten million of them are never in memory at once."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from imagenet_nk.dataset.files import MANIFEST
from imagenet_nk.sampling.draw_order import Split
from imagenet_nk.storage import files

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


def manifest_frame(rows: Iterable[dict[str, object]]) -> pd.DataFrame:
    """Rows of kept images, in list order, as a table with the columns and types of MANIFEST_COLUMNS."""
    frame = pd.DataFrame(list(rows), columns=list(MANIFEST_COLUMNS))
    return frame.astype(MANIFEST_COLUMNS)


def read_manifest(folder: Path) -> pd.DataFrame:
    """The manifest of a data set folder."""
    with (folder / MANIFEST).open("rb") as file:
        return pd.read_parquet(file)


_SPLIT = list(MANIFEST_COLUMNS).index("split")
_ROWS = 10_000  # written at once
_ROW_GROUP = 2_000  # rows of the manifest that are held at once: Arrow's writer takes 8 MB for them, 20 for more
_LINE = ",".join(["%s"] * len(MANIFEST_COLUMNS)) + "\n"

Rows = Sequence[tuple[Any, ...]]  # values in the order of MANIFEST_COLUMNS


class Manifest:
    """manifest.parquet and manifest.csv, open. The bytes are those that pandas writes, at a quarter of its time."""

    def __init__(self, parquet: pq.ParquetWriter, text: IO[str], schema: pa.Schema, aside: Executor) -> None:
        """aside: one thread, for what Arrow does without Python's lock."""
        self._parquet, self._text, self._schema, self._aside = parquet, text, schema, aside
        self._writing: Future[None] | None = None
        self._rows: list[tuple[Any, ...]] = []
        self._count = 0
        text.write(",".join(MANIFEST_COLUMNS) + "\n")

    def add(self, rows: Rows) -> None:
        """Rows of kept images, in list order."""
        _write_lines(self._text, rows)
        self._rows += rows
        self._count += len(rows)
        if len(self._rows) >= _ROW_GROUP:
            self._write_group()

    def end(self) -> None:
        """Write what is left; a manifest without rows has one group of none."""
        if self._rows or not self._count:
            self._write_group()
        self._written()

    def _write_group(self) -> None:
        columns = zip(*self._rows, strict=True) if self._rows else [()] * len(self._schema)
        arrays = [_array(values, kind) for values, kind in zip(columns, self._schema.types, strict=True)]
        self._written()
        self._writing = self._aside.submit(self._parquet.write_table, pa.table(arrays, self._schema))
        self._rows = []

    def _written(self) -> None:
        """Wait for the group before, so that two at most are in memory. Raises what writing it raised."""
        if self._writing:
            self._writing.result()


@contextmanager
def writing(folder: Path) -> Iterator[Manifest]:
    """Both manifests of a data set folder, complete when the block ends well."""
    schema = pa.Table.from_pandas(manifest_frame([]), preserve_index=False).schema
    with (
        files.atomic_write(folder / "manifest.csv") as to_csv,
        files.atomic_write(folder / MANIFEST) as to_parquet,
        to_csv.open("w", encoding="utf-8", newline="") as text,
        pq.ParquetWriter(to_parquet, schema) as parquet,
        ThreadPoolExecutor(1, thread_name_prefix="manifest") as aside,
    ):
        manifest = Manifest(parquet, text, schema, aside)
        yield manifest
        manifest.end()


def rows(folder: Path, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Values of those columns, row by row."""
    with (folder / MANIFEST).open("rb") as file:
        for batch in pq.ParquetFile(file).iter_batches(_ROW_GROUP, columns=list(columns)):
            yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)


def _write_lines(text: IO[str], rows: Rows) -> None:
    """Comma rows. The csv module looks at every character: that is left to it where one of them needs quotes."""
    lines = "".join([_LINE % row for row in rows])
    commas = (len(MANIFEST_COLUMNS) - 1) * len(rows)
    if lines.count(",") == commas and lines.count("\n") == len(rows) and '"' not in lines and "\r" not in lines:
        text.write(lines)
    else:
        csv.writer(text, lineterminator="\n").writerows(rows)


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """A column. Text that is ASCII is joined and cut by Arrow, in half the time that it takes value by value."""
    if kind != pa.large_string():
        return pa.array(values, kind)
    text = "".join(values)
    if not text.isascii():
        return pa.array(values, kind)
    ends = np.zeros(len(values) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, values), np.int64, len(values)), out=ends[1:])
    return pa.LargeStringArray.from_buffers(len(values), pa.py_buffer(ends), pa.py_buffer(text.encode()))


def apply(folder: Path, split: Split) -> bool:
    """Divide the images of each class as `split` says; whether the manifest had them in another way.

    The rows of a class are in draw order, so this is what collecting under that split would have written.
    """
    held_out = {wnid: split.held_out(count) for wnid, count in _counts(folder).items()}
    if all(there == wanted for there, wanted in _parts(folder, held_out)):
        return False
    wanted = (part for _, part in _parts(folder, held_out))
    with writing(folder) as anew:
        pending: list[tuple[object, ...]] = []
        for row, part in zip(rows(folder, list(MANIFEST_COLUMNS)), wanted, strict=True):
            pending.append((*row[:_SPLIT], part, *row[_SPLIT + 1 :]))
            if len(pending) == _ROWS:
                anew.add(pending)
                pending = []
        anew.add(pending)
    return True


def _counts(folder: Path) -> Counter[str]:
    return Counter(wnid for (wnid,) in rows(folder, ["wnid"]))


def _parts(folder: Path, held_out: dict[str, int]) -> Iterator[tuple[str, str]]:
    """The part that each row of the manifest is in, and the one that it belongs in."""
    seen: Counter[str] = Counter()
    for wnid, part in rows(folder, ["wnid", "split"]):
        yield part, "eval" if seen[wnid] < held_out[wnid] else "train"
        seen[wnid] += 1
