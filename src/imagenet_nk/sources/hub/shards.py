"""The two forms of shards: parquet with an image and a label column, and tars of samples (webdataset)."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imagenet_nk.errors import SourceError
from imagenet_nk.formats.magic import IMAGE_SUFFIXES
from imagenet_nk.image_ids import image_id
from imagenet_nk.sources.hub.files import Files
from imagenet_nk.sources.hub.labels import Labels, names_in_schema, official
from imagenet_nk.sources.local.tars import Member, members, read_place
from imagenet_nk.storage.files import atomic_write
from imagenet_nk.wording import one_line

IMAGE, LABEL = ("image", "img", "jpg"), ("label", "labels", "cls")  # names of the columns that data sets use


class Row(NamedTuple):
    """One image of a shard."""

    image_id: str
    place: str  # behind `#` in the candidate's url
    block: int  # images of one block are read together


Index = dict[str, list[Row]]  # WNID -> its images in one shard, in the order of the shard


class Shard(Protocol):
    """One file of a data set."""

    ahead: int  # how many further shards to index beforehand
    lacks: str  # why index() may not have given all of it, one line; "" = it has
    images: int  # of any class that index() has met
    unlabelled: int  # of them, those that have no label: of no class

    def index(self) -> Index:
        """The images of the wanted classes. Blocks; raises SourceError."""

    def read(self, place: str) -> bytes:
        """Bytes of one image. Blocks; raises OSError."""


class ParquetShard:
    """Labels are read alone, which is little; images a row group at a time, spooled for the rows that follow."""

    ahead = 8
    lacks = ""
    images = unlabelled = 0

    def __init__(
        self, files: Files, name: str, wnids: Collection[str], labels: Callable[[list[str] | None], Labels], spool: Path
    ) -> None:
        self._files, self._name, self._wnids, self._labels = files, name, wnids, labels
        self._spool = spool / name
        self._lock = threading.Lock()
        self._meta: pq.FileMetaData | None = None

    def index(self) -> Index:
        where = f"{self._files.where}/{self._name}"
        index: Index = defaultdict(list)
        try:
            with self._parquet() as parquet:
                image, label = columns(parquet.schema_arrow, where)
                labels = self._labels(names_in_schema(parquet.schema_arrow.metadata, label))
                paths = f"{image}.path" if _has_path(parquet.schema_arrow, image) else None
                row = unlabelled = 0
                for block in range(parquet.num_row_groups):
                    table = parquet.read_row_group(block, columns=[label] + ([paths] if paths else []))
                    given = table[label].to_pylist()
                    names = [i and i["path"] for i in table[image].to_pylist()] if paths else [None] * len(given)
                    for value, name in zip(given, names, strict=True):
                        wnid = labels.wnid(value, name, f"{where}, row {row}")
                        unlabelled += wnid is None
                        if wnid is not None and wnid in self._wnids:
                            index[wnid].append(Row(_id(wnid, name, f"{self._name}_{row}"), f"row={row}", block))
                        row += 1
        except (pa.ArrowException, OSError, ValueError) as error:
            self._meta = None  # it may be what was damaged
            raise SourceError(f"{where} cannot be read: {one_line(error)}") from error
        self.images, self.unlabelled = row, unlabelled
        return dict(index)

    def read(self, place: str) -> bytes:
        row = int(place.removeprefix("row="))
        try:
            with self._lock:  # one row group at a time, and each only once
                block, within = self._block_of(row)
                spooled = self._spooled(block)
            with pa.memory_map(str(spooled)) as file:
                column = pa.ipc.open_file(file).read_all()["bytes"]
                if within >= len(column):  # of a damaged shard, whose metadata tells another story
                    raise OSError(f"{self._name} has no row {row}")
                data = column[within].as_py()
        except (pa.ArrowException, ValueError) as error:
            raise OSError(one_line(error)) from error
        if not data:
            raise OSError(f"{self._name}, row {row} holds no bytes")
        return bytes(data)

    @contextmanager
    def _parquet(self) -> Iterator[pq.ParquetFile]:
        with self._files.opened(self._name) as file:
            parquet = pq.ParquetFile(file, metadata=self._meta, pre_buffer=True, page_checksum_verification=True)
            self._meta = parquet.metadata
            yield parquet

    def _block_of(self, row: int) -> tuple[int, int]:
        """(row group, row within it)."""
        if self._meta is None:
            with self._parquet() as parquet:
                self._meta = parquet.metadata
        meta = self._meta
        for block in range(meta.num_row_groups):
            if row < (size := meta.row_group(block).num_rows):
                return block, row
            row -= size
        raise OSError(f"{self._name} has no such row")

    def _spooled(self, block: int) -> Path:
        """The images of one row group as an Arrow file, which can be read by row."""
        there = self._spool / f"{block}.arrow"
        if there.is_file():
            return there
        with self._parquet() as parquet:
            image, _ = columns(parquet.schema_arrow, self._name)
            whole = not _has_bytes(parquet.schema_arrow, image)
            column = parquet.read_row_group(block, columns=[image if whole else f"{image}.bytes"])[image]
        data = column if whole else pc.struct_field(column, "bytes")
        table = pa.table({"bytes": data.cast(pa.large_binary())})
        with atomic_write(there) as part, pa.ipc.new_file(str(part), table.schema) as file:
            file.write_table(table, max_chunksize=1 << 16)
        return there


class TarShard:
    """webdataset: files of one sample follow each other and share their name up to the first dot."""

    ahead = 1
    images = unlabelled = 0

    def __init__(
        self, files: Files, name: str, wnids: Collection[str], labels: Callable[[list[str] | None], Labels], spool: Path
    ) -> None:
        self._files, self._name, self._wnids, self._labels, self._spool = files, name, wnids, labels, spool
        self.lacks = ""

    def index(self) -> Index:
        where = f"{self._files.where}/{self._name}"
        index: Index = defaultdict(list)
        labels, broken = self._labels(None), list[str]()
        images = unlabelled = 0
        try:
            tar = self._files.local(self._name, self._spool)
            for key, parts in samples(members(tar, said=broken.append)):
                image = next(
                    (m for ext, m in sorted(parts.items()) if f".{ext}".lower() in IMAGE_SUFFIXES and m.size), None
                )
                if image is None:
                    continue
                label = _label(tar, parts, where, key)
                if label is None and broken:
                    break  # the last sample has lost it
                wnid = labels.wnid(label, key, f"{where}, sample {key}")
                images, unlabelled = images + 1, unlabelled + (wnid is None)
                if wnid is not None and wnid in self._wnids:
                    place = f"bytes={image.offset}-{image.offset + image.size - 1}"
                    index[wnid].append(Row(_id(wnid, key, f"{self._name}_{key}"), place, 0))
        except OSError as error:
            raise SourceError(f"{where} cannot be read: {one_line(error)}") from error
        self.lacks, self.images, self.unlabelled = "".join(broken), images, unlabelled
        return dict(index)

    def read(self, place: str) -> bytes:
        return read_place(f"{self._files.local(self._name, self._spool)}#{place}")


def columns(schema: pa.Schema, where: str) -> tuple[str, str]:
    """Names of the image and the label column. Raises SourceError, with what there is, if one is missing."""
    image = next((name for name in IMAGE if name in schema.names and _holds_images(schema, name)), None)
    label = next((name for name in LABEL if name in schema.names), None)
    if image is None or label is None:
        missing = " and ".join(name for name, found in (("image", image), ("label", label)) if found is None)
        raise SourceError(
            f"{where} has no column {missing} (bytes and class number); it has: {', '.join(schema.names)}"
        )
    return image, label


def samples(files: Iterator[Member]) -> Iterator[tuple[str, dict[str, Member]]]:
    """(key, extension -> member) of each sample of a webdataset tar."""
    key = ""
    parts: dict[str, Member] = {}
    for member in files:
        stem, _, extension = member.name.partition(".")
        if stem != key and parts:
            yield key, parts
            parts = {}
        key = stem
        parts[extension] = member
    if parts:
        yield key, parts


def _label(tar: Path, parts: dict[str, Member], where: str, key: str) -> int | str | None:
    """The text of .cls, or `label`, `wnid` or `synset` of .json."""
    try:
        if cls := parts.get("cls"):
            return read_member(tar, cls).decode().strip()
        if sidecar := parts.get("json"):
            fields: Any = json.loads(read_member(tar, sidecar))
            return next((fields[name] for name in ("wnid", "synset", "label", "cls") if name in fields), None)
    except (ValueError, TypeError, KeyError) as error:
        raise SourceError(f"{where}, sample {key}: its label cannot be read: {one_line(error)}") from error
    return None


def read_member(tar: Path, member: Member) -> bytes:
    if member.size > 1 << 20:
        raise ValueError(f"{member.name} has {member.size} bytes")
    return read_place(f"{tar}#bytes={member.offset}-{member.offset + member.size - 1}")


def _id(wnid: str, name: str | None, otherwise: str) -> str:
    """ImageNet's own image id where the name carries it: then lists of file names find it; else shard and row."""
    own = official(name)
    return image_id(wnid, own[0] if own else otherwise.replace("/", "_"))


def _holds_images(schema: pa.Schema, name: str) -> bool:
    kind = schema.field(name).type
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or _has_bytes(schema, name)


def _has_bytes(schema: pa.Schema, name: str) -> bool:
    kind = schema.field(name).type
    return bool(pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0)


def _has_path(schema: pa.Schema, name: str) -> bool:
    kind = schema.field(name).type
    return bool(pa.types.is_struct(kind) and kind.get_field_index("path") >= 0)
