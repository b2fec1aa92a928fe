"""The wanted lines of a list, kept beside the data set as one file that is opened without being read.

Form: the sound lines of each class, then a JSON text that says where each class begins, then that text's length in
eight bytes and a mark: a file without the mark at its end is no whole index.
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
from imagenet_nk.sources.urls.list_lines import Lines, merged, parse, picked, without
from imagenet_nk.sources.urls.list_scan import Scan, among
from imagenet_nk.sources.urls.url_forms import canonical
from imagenet_nk.storage import files

_MARK = b"nk-urls1"
_ENOUGH = 1 << 14  # bytes of a class worth parsing together


class ListIndex:
    """An open index: (image id, address) pairs by class."""

    def __init__(self, file: Path) -> None:
        """Raises OSError, KeyError or ValueError if the file is no whole index."""
        with file.open("rb") as opened:
            self._map = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        if self._map[-8:] != _MARK:
            self._map.close()
            raise ValueError(f"{file} is no whole index")
        length = int.from_bytes(self._map[-16:-8], "little")
        notes = json.loads(self._map[-16 - length : -16])
        self._spans: dict[str, tuple[int, int]] = notes["spans"]
        self.fingerprint: str = notes["fingerprint"]
        self.counts: dict[str, int] = notes["counts"]

    def pairs(self, wnid: str) -> dict[str, str]:
        """Address by image id; empty for a class that the list does not have."""
        first, stop = self._spans.get(wnid, (0, 0))
        fields = self._map[first:stop].decode("ascii").replace("\t", "\n").split("\n")
        ids, urls = fields[::2], fields[1::2]
        if not "".join(ids).replace("_", "").isalnum():  # never on an official list
            ids = [image_id(wnid, serial) for serial in ids]
        return dict(zip(ids, urls, strict=False))  # one more id than addresses: the empty text behind the last line

    def close(self) -> None:
        self._map.close()


def build(chunks: Iterable[bytes | memoryview], wnids: Sequence[str], to: Path, reference: Collection[str]) -> None:
    """Read a list in one pass and write the index of these classes, whole or not at all. Raises SourceError.

    The same address twice in a class counts once, under the smallest image id. One that stands in another class of the
    `reference` is left out. What a class has depends on the reference alone, not on which others are indexed.
    """
    gathered = _Gathered(reference)
    scan = Scan(chunks, {*wnids, *reference})
    for wnid, lines in scan:
        gathered.add(wnid, lines)
    gathered.compare()
    spans: dict[str, tuple[int, int]] = {}
    try:
        with files.atomic_write(to) as part, part.open("wb") as file:
            for wnid in gathered.classes:
                first = file.tell()
                file.write(gathered.text(wnid))
                spans[wnid] = (first, file.tell())
            counts = {"lines": scan.lines, **(scan.broken + gathered.counts)}
            notes = json.dumps({"spans": spans, "fingerprint": scan.fingerprint, "counts": counts}).encode()
            file.write(notes + len(notes).to_bytes(8, "little") + _MARK)
    except OSError as error:
        raise SourceError(
            f"cannot write {to}: {error.strerror or error}; free space or choose another dataset.dir"
        ) from error


class _Gathered:
    """The wanted lines of a pass, by class."""

    def __init__(self, reference: Collection[str]) -> None:
        self._reference = frozenset(reference)
        self.counts: Counter[str] = Counter()
        self._raw: dict[str, list[bytes]] = {}
        self._size: Counter[str] = Counter()
        self._lines: dict[str, list[Lines]] = {}
        self._doubtful: dict[str, list[tuple[str, str, int]]] = {}
        self._owners: dict[str, str] = {}  # class of the reference that has an address; "" = several have
        self._twice = (np.empty(0, np.uint64), np.empty(0, np.uint64))

    @property
    def classes(self) -> list[str]:
        return sorted(self._lines)

    def add(self, wnid: str, block: bytes) -> None:
        """Take some whole lines of a class."""
        self._raw.setdefault(wnid, []).append(block)
        self._size[wnid] += len(block)
        if self._size[wnid] >= _ENOUGH:
            self._parse(wnid)

    def _parse(self, wnid: str) -> None:
        lines = parse(b"".join(self._raw.pop(wnid)), self.counts)
        del self._size[wnid]
        if lines.text:
            self._lines.setdefault(wnid, []).append(lines)

    def compare(self) -> None:
        """Find what may stand twice, and who of the reference has such addresses. Nothing is added after that."""
        for wnid in list(self._raw):
            self._parse(wnid)
        pieces = [piece for parts in self._lines.values() for piece in parts]
        self._twice = _repeated([piece.likes for piece in pieces]), _repeated([piece.names for piece in pieces])
        for wnid, parts in self._lines.items():
            lines = merged(parts)
            self._lines[wnid] = [lines]
            self._doubtful[wnid] = self._not_alone(lines)
            for _, url, _ in self._doubtful[wnid] if wnid in self._reference else ():
                if self._owners.setdefault(address := canonical(url), wnid) != wnid:
                    self._owners[address] = ""

    def _not_alone(self, lines: Lines) -> list[tuple[str, str, int]]:
        """Id, address and number of the lines of which there may be another."""
        rows = np.flatnonzero(among(lines.likes, self._twice[0]) | among(lines.names, self._twice[1]))
        fields = (line.decode("ascii").partition("\t") for line in picked(lines.text, rows))
        return [(serial, url, row) for row, (serial, _, url) in zip(rows.tolist(), fields, strict=True)]

    def text(self, wnid: str) -> bytes:
        """The class's lines, each id and each address once; lets go of them."""
        (lines,) = self._lines.pop(wnid)
        ids, addresses, dropped = set[str](), set[str](), set[int]()
        for serial, url, row in sorted(self._doubtful.pop(wnid)):
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
        return without(lines.text, np.array(sorted(dropped))) if dropped else lines.text


def _repeated(arrays: list[npt.NDArray[np.uint64]]) -> npt.NDArray[np.uint64]:
    """Values that occur more than once, sorted."""
    values = np.sort(np.concatenate([*arrays, np.empty(0, np.uint64)]))
    return np.unique(values[1:][values[1:] == values[:-1]])
