"""The manifest on its way to disk and back, row by row: ten million of them are never in memory at once."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, get_type_hints

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from imagenet_nk.dataset.folder_layout import MANIFEST
from imagenet_nk.errors import DatasetError
from imagenet_nk.sampling.draw_order import Split
from imagenet_nk.storage.files import atomic_write, open_regular
from imagenet_nk.wording import one_line


class ManifestRow(NamedTuple):
    """A kept image: the columns of the manifest. docs/formats.md describes them."""

    image_id: str
    wnid: str
    label: int
    path: str
    split: str
    source: str
    url: str
    final_url: str
    sha256: str
    bytes: int
    width: int
    height: int
    format: str
    mode: str
    fetched_at: str


MANIFEST_COLUMNS = {name: {int: "int64", str: "string"}[kind] for name, kind in get_type_hints(ManifestRow).items()}


def manifest_frame(rows: Iterable[dict[str, object]]) -> pd.DataFrame:
    """Rows of kept images, in list order, as a table with the columns and types of MANIFEST_COLUMNS."""
    frame = pd.DataFrame(list(rows), columns=list(MANIFEST_COLUMNS))
    return frame.astype(MANIFEST_COLUMNS)


def read_manifest(folder: Path) -> pd.DataFrame:
    """The manifest of a data set folder. Raises DatasetError if it cannot be read."""
    with _open_manifest(folder) as parquet:
        frame: pd.DataFrame = parquet.read().to_pandas()
    return frame.astype(MANIFEST_COLUMNS)


@contextmanager
def _open_manifest(folder: Path) -> Iterator[pq.ParquetFile]:
    path = folder / MANIFEST
    try:
        with open_regular(path) as file, pq.ParquetFile(file, page_checksum_verification=True) as parquet:
            yield parquet
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:  # cut, empty, or flipped bytes
        raise DatasetError(
            f"{path} cannot be read ({one_line(error)[:120]}): the stage collect writes it anew, stages=[collect,lists]"
        ) from error


_ROW_GROUP = 2_000  # rows of the manifest that are held at once: Arrow's writer takes 8 MB for them, 20 for more
_LINE = ",".join(["%s"] * len(MANIFEST_COLUMNS)) + "\n"


class ManifestWriter:
    """manifest.parquet and manifest.csv, open. The bytes are those that pandas writes, at a quarter of its time."""

    def __init__(self, parquet: pq.ParquetWriter, text: IO[str], schema: pa.Schema, executor: Executor) -> None:
        """`executor`: one thread, for what Arrow does without Python's lock."""
        self._parquet, self._text, self._schema, self._executor = parquet, text, schema, executor
        self._pending_write: Future[None] | None = None
        self._rows: list[ManifestRow] = []
        self._count = 0
        text.write(",".join(MANIFEST_COLUMNS) + "\n")

    def add(self, rows: Sequence[ManifestRow]) -> None:
        """Rows of kept images, in list order."""
        _write_lines(self._text, rows)
        self._rows += rows
        self._count += len(rows)
        if len(self._rows) >= _ROW_GROUP:
            self._write_group()

    def finish(self) -> None:
        """Write what is left; a manifest without rows has one group of none."""
        if self._rows or not self._count:
            self._write_group()
        self._wait_for_write()

    def _write_group(self) -> None:
        columns = zip(*self._rows, strict=True) if self._rows else [()] * len(self._schema)
        arrays = [_array(values, kind) for values, kind in zip(columns, self._schema.types, strict=True)]
        self._wait_for_write()
        self._pending_write = self._executor.submit(self._parquet.write_table, pa.table(arrays, self._schema))
        self._rows = []

    def _wait_for_write(self) -> None:
        """Wait for the group before, so that two at most are in memory. Raises what writing it raised."""
        if self._pending_write:
            self._pending_write.result()


@contextmanager
def open_writer(folder: Path) -> Iterator[ManifestWriter]:
    """Both manifests of a data set folder, complete when the block ends without an error, else as they were."""
    schema = pa.Table.from_pandas(manifest_frame([]), preserve_index=False).schema
    with (
        atomic_write(folder / "manifest.csv") as to_csv,
        atomic_write(folder / MANIFEST) as to_parquet,
        to_csv.open("w", encoding="utf-8", newline="") as text,
        pq.ParquetWriter(to_parquet, schema, write_page_checksum=True) as parquet,
        ThreadPoolExecutor(1, thread_name_prefix="manifest") as executor,
    ):
        writer = ManifestWriter(parquet, text, schema, executor)
        yield writer
        writer.finish()


def iter_columns(folder: Path, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Values of those columns, row by row. Raises DatasetError if the manifest cannot be read."""
    with _open_manifest(folder) as parquet:
        for batch in parquet.iter_batches(_ROW_GROUP, columns=list(columns)):
            yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)


def _write_lines(text: IO[str], rows: Sequence[ManifestRow]) -> None:
    """Comma rows. The csv module looks at every character: that is left to it where one of them needs quotes."""
    lines = "".join([_LINE % row for row in rows])
    commas = (len(MANIFEST_COLUMNS) - 1) * len(rows)
    if lines.count(",") == commas and lines.count("\n") == len(rows) and '"' not in lines and "\r" not in lines:
        text.write(lines)
    else:
        csv.writer(text, lineterminator="\n").writerows(rows)


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """A column. ASCII text is joined here and cut by Arrow, in half the time that it takes value by value."""
    if kind != pa.large_string():
        return pa.array(values, kind)
    text = "".join(values)
    if not text.isascii():
        return pa.array(values, kind)
    ends = np.zeros(len(values) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, values), np.int64, len(values)), out=ends[1:])
    return pa.LargeStringArray.from_buffers(len(values), pa.py_buffer(ends), pa.py_buffer(text.encode()))


def apply_split(folder: Path, split: Split) -> bool:
    """Divide the images of each class as `split` says; whether the manifest had them in another way.

    The rows of a class are in draw order, so this is what collecting under that split would have written.
    """
    counts = Counter(wnid for (wnid,) in iter_columns(folder, ["wnid"]))
    held_out = {wnid: split.held_out(count) for wnid, count in counts.items()}
    if all(present == wanted for present, wanted in _splits(folder, held_out)):
        return False
    wanted_splits = (wanted for _, wanted in _splits(folder, held_out))
    rows = map(ManifestRow._make, iter_columns(folder, ManifestRow._fields))
    with open_writer(folder) as writer:
        for row, wanted in zip(rows, wanted_splits, strict=True):
            writer.add([row._replace(split=wanted)])
    return True


def _splits(folder: Path, held_out: dict[str, int]) -> Iterator[tuple[str, str]]:
    """The split that each row of the manifest is in, and the one that it belongs in."""
    seen: Counter[str] = Counter()
    for wnid, present in iter_columns(folder, ["wnid", "split"]):
        yield present, "eval" if seen[wnid] < held_out[wnid] else "train"
        seen[wnid] += 1
