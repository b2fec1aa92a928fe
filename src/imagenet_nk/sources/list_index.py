"""The wanted lines of a list, kept beside the data set: one record batch a class, opened without reading."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow

from imagenet_nk.errors import SourceError
from imagenet_nk.sources.list_lines import Lines, parse
from imagenet_nk.sources.list_scan import Scan

_SCHEMA = pyarrow.schema([("id", pyarrow.string()), ("url", pyarrow.string())])
_ENOUGH = 1 << 14  # bytes of a class worth parsing together


class ListIndex:
    """An open index: (image id, address) pairs by class, sorted by image id."""

    def __init__(self, file: Path) -> None:
        """Raises OSError, pyarrow.ArrowException, KeyError or ValueError if the file is no whole index."""
        self._map = pyarrow.memory_map(str(file))
        self._reader = pyarrow.ipc.open_file(self._map)
        notes = json.loads(self._reader.schema.metadata[b"notes"])
        self._batch: dict[str, int] = {wnid: number for number, wnid in enumerate(notes["wnids"])}
        self.fingerprint: str = notes["fingerprint"]
        self.counts: dict[str, int] = notes["counts"]

    def pairs(self, wnid: str) -> dict[str, str]:
        """Address by image id; empty for a class that the list does not have."""
        number = self._batch.get(wnid)
        if number is None:
            return {}
        batch = self._reader.get_batch(number)
        return dict(zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True))

    def close(self) -> None:
        self._map.close()


def build(chunks: Iterable[bytes], wnids: Sequence[str], to: Path) -> None:
    """Read a list in one pass and write the index of these classes, whole or not at all.

    The same address twice in a class counts once, under the smallest image id; in two classes it is left out of both.
    """
    scan = Scan(chunks, wnids)
    columns = _Columns(scan.broken)
    for wnid, lines in scan:
        columns.add(wnid, lines)
    columns.finish()
    doubtful = columns.in_two_classes()
    part = to.with_name(f"{to.name}.{os.getpid()}.part")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        batches = {wnid: columns.batch(wnid, doubtful) for wnid in sorted(columns.classes)}
        notes = {
            "wnids": list(batches),
            "fingerprint": scan.fingerprint,
            "counts": {"lines": scan.lines, **scan.broken, **columns.counts},
        }
        schema = _SCHEMA.with_metadata({"notes": json.dumps(notes)})
        with pyarrow.OSFile(str(part), "wb") as file, pyarrow.ipc.new_file(file, schema) as writer:
            for batch in batches.values():
                writer.write_batch(batch.replace_schema_metadata(schema.metadata))
        part.replace(to)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise SourceError(
            f"cannot write {to}: {error.strerror or error}; free space or choose another dataset.dir"
        ) from error


class _Columns:
    """What the pass has gathered, by class, as compact arrays."""

    def __init__(self, broken: Counter[str]) -> None:
        self.counts: Counter[str] = Counter()
        self.classes: dict[str, list[tuple[pyarrow.Array, pyarrow.Array, np.ndarray]]] = {}
        self._broken = broken
        self._raw: dict[str, list[bytes]] = {}
        self._size: Counter[str] = Counter()

    def add(self, wnid: str, lines: bytes) -> None:
        self._raw.setdefault(wnid, []).append(lines)
        self._size[wnid] += len(lines)
        if self._size[wnid] >= _ENOUGH:
            self._parse(wnid)

    def finish(self) -> None:
        for wnid in list(self._raw):
            self._parse(wnid)

    def _parse(self, wnid: str) -> None:
        lines: Lines = parse(b"".join(self._raw.pop(wnid)), wnid, self._broken)
        del self._size[wnid]
        if lines.ids:
            arrays = (
                pyarrow.array(lines.ids, pyarrow.binary()).cast(pyarrow.string()),
                pyarrow.array(lines.urls, pyarrow.binary()).cast(pyarrow.string()),
                np.array(lines.hashes, np.int64),
            )
            self.classes.setdefault(wnid, []).append(arrays)

    def in_two_classes(self) -> np.ndarray:
        """Hashes of addresses that more than one class has."""
        each = [np.unique(np.concatenate([h for *_, h in parts])) for parts in self.classes.values()]
        hashes = np.sort(np.concatenate(each)) if each else np.empty(0, np.int64)
        return np.unique(hashes[1:][hashes[1:] == hashes[:-1]])

    def batch(self, wnid: str, doubtful: np.ndarray) -> pyarrow.RecordBatch:
        """The class's rows, sorted by image id, each id and each address once; lets go of what they came from."""
        parts = self.classes[wnid]
        ids, urls = (pyarrow.concat_arrays([part[column] for part in parts]) for column in (0, 1))
        hashes = np.concatenate([part[2] for part in parts])
        self.classes[wnid] = []
        keep = ~np.isin(hashes, doubtful, kind="sort")
        self.counts["in_two_classes"] += int((~keep).sum())
        if not keep.all():
            ids, urls, hashes = ids.filter(pyarrow.array(keep)), urls.filter(pyarrow.array(keep)), hashes[keep]
        order = np.argsort(np.array(ids.to_pylist(), dtype=np.str_), kind="stable")
        ids, urls, hashes = ids.take(pyarrow.array(order)), urls.take(pyarrow.array(order)), hashes[order]
        if len(np.unique(hashes)) < len(hashes) or len(ids.unique()) < len(ids):
            return self._once(ids, urls, hashes)
        return pyarrow.record_batch([ids, urls], schema=_SCHEMA)

    def _once(self, ids: pyarrow.Array, urls: pyarrow.Array, hashes: np.ndarray) -> pyarrow.RecordBatch:
        kept: dict[str, str] = {}
        seen: set[int] = set()
        for image_id, url, digest in sorted(zip(ids.to_pylist(), urls.to_pylist(), hashes.tolist(), strict=True)):
            if digest in seen:
                self.counts["same_address"] += 1
            elif image_id in kept:
                self.counts["same_id"] += 1
            else:
                kept[image_id] = url
                seen.add(digest)
        return pyarrow.record_batch([list(kept), list(kept.values())], schema=_SCHEMA)
