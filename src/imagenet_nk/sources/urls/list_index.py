"""The wanted lines of a list, saved as one memory-mapped file beside the data set.

Format: the valid lines of each class, a JSON text with the byte range of each class, the length of that text in eight
bytes, and a magic number. A file that does not end with the magic number is incomplete.
"""

from __future__ import annotations

import json
import mmap
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imagenet_nk.errors import SourceError
from imagenet_nk.image_ids import image_id
from imagenet_nk.sources.urls.list_lines import Lines, concatenate, drop_lines, parse, select_lines
from imagenet_nk.sources.urls.list_scan import Scan, isin_sorted
from imagenet_nk.sources.urls.url_forms import canonical
from imagenet_nk.storage import files

_MAGIC = b"nk-urls1"
_PARSE_BYTES = 1 << 14  # of a class, gathered before they are parsed


class ListIndex:
    """An open index: URL by image id, for each class."""

    def __init__(self, file: Path) -> None:
        """Raises OSError, KeyError or ValueError if the file is not a complete index."""
        with file.open("rb") as opened:
            self._map = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        if self._map[-8:] != _MAGIC:
            self._map.close()
            raise ValueError(f"{file} is not a complete index")
        length = int.from_bytes(self._map[-16:-8], "little")
        metadata = json.loads(self._map[-16 - length : -16])
        self._spans: dict[str, tuple[int, int]] = metadata["spans"]
        self.fingerprint: str = metadata["fingerprint"]
        self.counts: dict[str, int] = metadata["counts"]

    def pairs(self, wnid: str) -> dict[str, str]:
        """URL by image id; empty for a class that is not in the list."""
        first, stop = self._spans.get(wnid, (0, 0))
        fields = self._map[first:stop].decode("ascii").replace("\t", "\n").split("\n")
        ids, urls = fields[::2], fields[1::2]
        if not "".join(ids).replace("_", "").isalnum():  # never in an official list
            ids = [image_id(wnid, serial) for serial in ids]
        return dict(zip(ids, urls, strict=False))  # the last id is the empty text after the last newline

    def close(self) -> None:
        self._map.close()


def build(chunks: Iterable[bytes | memoryview], wnids: Sequence[str], to: Path, reference: Collection[str]) -> None:
    """Read a list in one pass and write the index of these classes atomically. Raises SourceError.

    A URL that occurs twice in a class is kept once, under the smallest image id. A URL that also occurs in another
    class of the `reference` is left out. So the lines of a class do not depend on which other classes are indexed.
    """
    builder = _IndexBuilder(reference)
    scan = Scan(chunks, {*wnids, *reference})
    for wnid, lines in scan:
        builder.add(wnid, lines)
    builder.find_duplicates()
    spans: dict[str, tuple[int, int]] = {}
    try:
        with files.atomic_write(to) as part, part.open("wb") as file:
            for wnid in builder.classes:
                first = file.tell()
                file.write(builder.pop_lines(wnid))
                spans[wnid] = (first, file.tell())
            counts = {"lines": scan.lines, **(scan.broken + builder.counts)}
            metadata = json.dumps({"spans": spans, "fingerprint": scan.fingerprint, "counts": counts}).encode()
            file.write(metadata + len(metadata).to_bytes(8, "little") + _MAGIC)
    except OSError as error:
        raise SourceError(
            f"cannot write {to}: {error.strerror or error}; free some space or choose another dataset.dir"
        ) from error


class _IndexBuilder:
    """The wanted lines by class, and which of them are duplicates."""

    def __init__(self, reference: Collection[str]) -> None:
        self._reference = frozenset(reference)
        self.counts: Counter[str] = Counter()
        self._raw: dict[str, list[bytes]] = {}
        self._raw_bytes: Counter[str] = Counter()
        self._lines: dict[str, list[Lines]] = {}
        self._possible_duplicates_of: dict[str, list[tuple[str, str, int]]] = {}
        self._owners: dict[str, str] = {}  # class of the reference that has this canonical URL; "" = several
        self._repeated = (np.empty(0, np.uint64), np.empty(0, np.uint64))

    @property
    def classes(self) -> list[str]:
        return sorted(self._lines)

    def add(self, wnid: str, block: bytes) -> None:
        """Add whole lines of a class."""
        self._raw.setdefault(wnid, []).append(block)
        self._raw_bytes[wnid] += len(block)
        if self._raw_bytes[wnid] >= _PARSE_BYTES:
            self._parse(wnid)

    def _parse(self, wnid: str) -> None:
        lines = parse(b"".join(self._raw.pop(wnid)), self.counts)
        del self._raw_bytes[wnid]
        if lines.text:
            self._lines.setdefault(wnid, []).append(lines)

    def find_duplicates(self) -> None:
        """Find URLs and ids that may occur twice, and the classes that own such URLs. Call it after the last add()."""
        for wnid in list(self._raw):
            self._parse(wnid)
        pieces = [piece for parts in self._lines.values() for piece in parts]
        self._repeated = (
            _repeated_values([piece.url_keys for piece in pieces]),
            _repeated_values([piece.id_keys for piece in pieces]),
        )
        for wnid, parts in self._lines.items():
            lines = concatenate(parts)
            self._lines[wnid] = [lines]
            self._possible_duplicates_of[wnid] = self._possible_duplicates(lines)
            for _, url, _ in self._possible_duplicates_of[wnid] if wnid in self._reference else ():
                if self._owners.setdefault(address := canonical(url), wnid) != wnid:
                    self._owners[address] = ""

    def _possible_duplicates(self, lines: Lines) -> list[tuple[str, str, int]]:
        """(id, URL, line number) of the lines whose id or URL may occur again."""
        rows = np.flatnonzero(
            isin_sorted(lines.url_keys, self._repeated[0]) | isin_sorted(lines.id_keys, self._repeated[1])
        )
        fields = (line.decode("ascii").partition("\t") for line in select_lines(lines.text, rows))
        return [(serial, url, row) for row, (serial, _, url) in zip(rows.tolist(), fields, strict=True)]

    def pop_lines(self, wnid: str) -> bytes:
        """Remove and return the lines of a class, each id and each URL once."""
        (lines,) = self._lines.pop(wnid)
        ids, addresses, dropped = set[str](), set[str](), set[int]()
        for serial, url, row in sorted(self._possible_duplicates_of.pop(wnid)):
            address = canonical(url)
            if self._owners.get(address, wnid) != wnid:
                self.counts["in_two_classes"] += 1
            elif address in addresses:
                self.counts["same_address"] += 1
            elif serial in ids:
                self.counts["same_id"] += 1
            else:
                ids.add(serial)
                addresses.add(address)
                continue
            dropped.add(row)
        return drop_lines(lines.text, np.array(sorted(dropped))) if dropped else lines.text


def _repeated_values(arrays: list[npt.NDArray[np.uint64]]) -> npt.NDArray[np.uint64]:
    """The values that occur more than once, sorted."""
    values = np.sort(np.concatenate([*arrays, np.empty(0, np.uint64)]))
    return np.unique(values[1:][values[1:] == values[:-1]])
