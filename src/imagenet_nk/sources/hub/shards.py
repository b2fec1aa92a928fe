"""The two forms of shards: parquet with an image and a label column, and tars of samples (WebDataset)."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imagenet_nk.errors import SourceError
from imagenet_nk.formats.hidden import is_hidden
from imagenet_nk.image_ids import image_id
from imagenet_nk.sources.hub.files import DatasetFiles
from imagenet_nk.sources.hub.labels import Labels, names_in_schema, official_id
from imagenet_nk.sources.hub.samples import describe_contents, image_of, label_of, samples
from imagenet_nk.sources.local.tars import entries, read_range
from imagenet_nk.storage.files import atomic_write
from imagenet_nk.wording import one_line

_IMAGE, _LABEL = ("image", "img", "jpg"), ("label", "labels", "cls")  # column names that data sets use


class Row(NamedTuple):
    """One image of a shard."""

    image_id: str
    fragment: str  # behind `#` in the address of the candidate
    row_group: int  # images of one row group are read together


RowsByClass = dict[str, list[Row]]  # by WNID, in the order of the shard


class Shard:
    """One file of a data set."""

    ahead: int  # how many further shards to index beforehand

    def __init__(
        self,
        files: DatasetFiles,
        name: str,
        wnids: Collection[str],
        labels: Callable[[list[str] | None], Labels],
        folder: Path,
    ) -> None:
        """`labels` gives those of a shard that carries these class names, or none; `folder`: for cached images."""
        self._files, self._name, self._wnids, self._labels, self._folder = files, name, wnids, labels, folder
        self._lock = threading.Lock()
        self.url = f"{files.base_url}/{name}"
        self.incomplete_reason = ""  # why index() may have missed images, one line; "" = it has not
        self.no_image_reason = ""  # what it has instead of images, one line; "" = it has some, or is empty
        self._begin()

    def _begin(self) -> None:
        self.images = 0  # of any class that index() has met
        self.unlabelled = 0  # of them, those without a label: of no class
        self._same_name: Counter[str] = Counter()  # images by id

    def index(self) -> RowsByClass:
        """The images of the wanted classes. Blocks; raises SourceError."""
        raise NotImplementedError

    def read(self, fragment: str) -> bytes:
        """Bytes of one image. Blocks; raises OSError."""
        raise NotImplementedError

    def _add(self, rows: RowsByClass, wnid: str | None, name: str | None, own_name: str, *fields: Any) -> None:
        """Note one image: by ImageNet's own image id if its name carries it, else by shard and row.

        The second of one name in a shard gets `=2`, as in a folder.
        """
        self.images, self.unlabelled = self.images + 1, self.unlabelled + (wnid is None)
        if wnid is not None and wnid in self._wnids:
            official = official_id(name)
            own = image_id(wnid, official[0] if official else f"{self._name.replace('/', '_')}_{own_name}")
            self._same_name[own] += 1
            rows[wnid].append(Row(own if self._same_name[own] == 1 else f"{own}={self._same_name[own]}", *fields))


class ParquetShard(Shard):
    """Labels are read without the images, which is little; images by row group, cached for the rows that follow."""

    ahead = 8
    _meta: pq.FileMetaData | None = None

    def index(self) -> RowsByClass:
        rows: RowsByClass = defaultdict(list)
        self._begin()
        try:
            with self._parquet() as parquet:
                image, label = find_columns(parquet.schema_arrow, self.url)
                labels = self._labels(names_in_schema(parquet.schema_arrow.metadata, label))
                paths = f"{image}.path" if _has_field(parquet.schema_arrow, image, "path") else None
                first = 0
                for group in range(parquet.num_row_groups):
                    table = parquet.read_row_group(group, columns=[label] + ([paths] if paths else []))
                    values = table[label].to_pylist()
                    names = [i and i["path"] for i in table[image].to_pylist()] if paths else [None] * len(values)
                    for row, (value, name) in enumerate(zip(values, names, strict=True), first):
                        if is_hidden((name or "").rpartition("/")[2]):
                            continue
                        wnid = labels.wnid(value, name, f"{self.url}, row {row}")
                        self._add(rows, wnid, name, str(row), f"row={row}", group)
                    first += len(values)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise SourceError(f"{self.url} cannot be read: {one_line(error)}") from error
        return dict(rows)

    def read(self, fragment: str) -> bytes:
        row = int(fragment.removeprefix("row="))
        try:
            with self._lock:  # one row group at a time, and each only once
                group, row_in_group = self._row_group_of(row)
                cached = self._cached_images(group)
            with pa.memory_map(str(cached)) as file:
                column = pa.ipc.open_file(file).read_all()["bytes"]
                if row_in_group >= len(column):  # a damaged shard contradicts its metadata
                    raise OSError(f"{self._name} has no row {row}")
                data = column[row_in_group].as_py()
        except (pa.ArrowException, ValueError) as error:
            raise OSError(one_line(error)) from error
        if not data:
            raise OSError(f"{self._name}, row {row} holds no bytes")
        return bytes(data)

    @contextmanager
    def _parquet(self) -> Iterator[pq.ParquetFile]:
        with self._files.open(self._name) as file:
            parquet = pq.ParquetFile(file, metadata=self._meta, pre_buffer=True, page_checksum_verification=True)
            self._meta = parquet.metadata
            yield parquet

    def _row_group_of(self, row: int) -> tuple[int, int]:
        """(row group, row within it)."""
        meta, offset = self._meta, row
        if meta is None:
            with self._parquet() as parquet:
                meta = parquet.metadata
        for group in range(meta.num_row_groups):
            if offset < (size := meta.row_group(group).num_rows):
                return group, offset
            offset -= size
        raise OSError(f"{self._name} has no row {row}")

    def _cached_images(self, group: int) -> Path:
        """The images of one row group as an Arrow file, which can be read by row."""
        cached = self._folder / self._name / f"{group}.arrow"
        if cached.is_file():
            return cached
        with self._parquet() as parquet:
            image, _ = find_columns(parquet.schema_arrow, self._name)
            is_plain = not _has_field(parquet.schema_arrow, image, "bytes")
            column = parquet.read_row_group(group, columns=[image if is_plain else f"{image}.bytes"])[image]
        data = column if is_plain else pc.struct_field(column, "bytes")
        table = pa.table({"bytes": data.cast(pa.large_binary())})
        with atomic_write(cached) as part, pa.ipc.new_file(str(part), table.schema) as file:
            file.write_table(table, max_chunksize=1 << 16)
        return cached


class TarShard(Shard):
    """WebDataset: see `samples`."""

    ahead = 1

    def index(self) -> RowsByClass:
        rows: RowsByClass = defaultdict(list)
        labels, problems = self._labels(None), list[str]()
        self._begin()
        try:
            tar = self._files.local_copy(self._name, self._folder)
            found = samples(entries(tar, on_damage=problems.append), self.url)
            for key, sample in found.items():
                where = f"{self.url}, sample {key}"
                if not (image := image_of(sample, where)):
                    continue
                wnid = labels.wnid(label_of(tar, sample, where), key, where)
                if wnid or not problems:  # else it has lost its label
                    self._add(rows, wnid, key, key, image.range, 0)
        except OSError as error:
            raise SourceError(f"{self.url} cannot be read: {one_line(error)}") from error
        if found and not self.images:
            self.no_image_reason = (
                f"{self.url} has files ({describe_contents(found.values())}) and no sample with an image"
            )
        self.incomplete_reason = "".join(problems)
        return dict(rows)

    def read(self, fragment: str) -> bytes:
        return read_range(f"{self._files.local_copy(self._name, self._folder)}#{fragment}")


def find_columns(schema: pa.Schema, url: str) -> tuple[str, str]:
    """Names of the image and the label column. Raises SourceError with the present columns if one is missing."""
    image = next((name for name in _IMAGE if name in schema.names and _holds_images(schema, name)), None)
    label = next((name for name in _LABEL if name in schema.names), None)
    if image is None or label is None:
        missing = " and ".join(kind for kind, name in (("image", image), ("label", label)) if name is None)
        raise SourceError(f"{url} has no column {missing} (bytes and class number); it has: {', '.join(schema.names)}")
    return image, label


def _holds_images(schema: pa.Schema, name: str) -> bool:
    kind = schema.field(name).type
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or _has_field(schema, name, "bytes")


def _has_field(schema: pa.Schema, name: str, field: str) -> bool:
    kind = schema.field(name).type
    return bool(pa.types.is_struct(kind) and kind.get_field_index(field) >= 0)
