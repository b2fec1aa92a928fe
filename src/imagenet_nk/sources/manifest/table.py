"""The rows of a manifest that say which images a subset holds: parquet or csv, from anyone."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from imagenet_nk.errors import SourceError
from imagenet_nk.formats.magic import HEAD, kind_of
from imagenet_nk.image_ids import WNID
from imagenet_nk.storage.files import open_regular
from imagenet_nk.wording import one_line

COLUMNS = ("image_id", "wnid", "url", "sha256")
FINAL_URL = "final_url"  # read where it is there: it says which bytes of an archive an image is

_IMAGE_ID = re.compile(r"[A-Za-z0-9._=-]{1,200}\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


class Image(NamedTuple):
    """One image of a subset, and the bytes it had."""

    image_id: str
    wnid: str
    url: str  # where it can be had: of a member of an archive, with the range of its bytes
    sha256: str  # of the whole file, in hex


def read_images(path: Path) -> list[Image]:
    """All rows, in their order. Raises SourceError: not there, columns missing, a row that names no image safely."""
    try:
        rows = _parquet(path) if _kind(path) == "a parquet file" else _csv(path)
        return list(validate(rows, str(path)))
    except OSError as error:
        raise SourceError(f"source.path={path} cannot be read: {error.strerror or one_line(error)}") from error


def validate(rows: Iterable[Mapping[str, object]], where: str) -> Iterator[Image]:
    """Images out of rows. An image id becomes a file name, so nothing else than an id passes. Raises SourceError."""
    seen: set[str] = set()
    for number, row in enumerate(rows, start=1):
        image = Image(*(str(row[name] if row[name] is not None else "") for name in COLUMNS))
        place = str(row.get(FINAL_URL) or "")
        is_member = place.startswith(image.url) and "#bytes=" in place
        image = image._replace(sha256=image.sha256.lower(), url=place if is_member else image.url)
        if not WNID.match(image.wnid):
            fault = f"wnid {image.wnid[:40]!r} is no WNID"
        elif not _IMAGE_ID.match(image.image_id) or not image.image_id.startswith(image.wnid):
            fault = f"image_id {image.image_id[:40]!r} is no image id of {image.wnid}"
        elif image.image_id in seen:
            fault = f"image_id {image.image_id} is there twice"
        elif not _SHA256.match(image.sha256):
            fault = f"sha256 {image.sha256[:70]!r} is no SHA-256 in hex"
        else:
            seen.add(image.image_id)
            yield image
            continue
        raise SourceError(f"{where}, row {number}: {fault}; is this a manifest of imagenet-nk?")


def _kind(path: Path) -> str:
    """What the file is; "" for a text. Raises SourceError for what is neither that nor parquet."""
    with open_regular(path) as file:
        kind = kind_of(file.read(HEAD))
    if kind not in ("", "a parquet file"):
        raise SourceError(f"source.path={path} is {kind}; name a manifest.parquet, or a manifest.csv in UTF-8")
    return kind


def _parquet(path: Path) -> Iterator[Mapping[str, object]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as parquet:
            _require_columns(parquet.schema_arrow.names, path)
            columns = [name for name in (*COLUMNS, FINAL_URL) if name in parquet.schema_arrow.names]
            for batch in parquet.iter_batches(columns=columns):
                yield from batch.to_pylist()
    except (pa.ArrowException, ValueError) as error:  # ValueError: names and texts that are no UTF-8
        raise SourceError(f"source.path={path} is a broken parquet file: {one_line(error)}") from error


def _csv(path: Path) -> Iterator[Mapping[str, object]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        try:
            _require_columns(reader.fieldnames or (), path)
            yield from reader
        except (csv.Error, UnicodeDecodeError) as error:
            raise SourceError(f"source.path={path} is no csv in UTF-8 (line {reader.line_num + 1}): {error}") from error


def _require_columns(names: Iterable[str], path: Path) -> None:
    present = set(names)
    if missing := [name for name in COLUMNS if name not in present]:
        raise SourceError(
            f"source.path={path} has no column {', '.join(missing)}; a manifest has {', '.join(COLUMNS)}, and the rest"
        )
