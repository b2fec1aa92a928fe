"""The lines of the wanted classes out of a list of any length, in one pass. Pure.

A line is `<wnid>_<serial><TAB><url>`. All lines of a block are looked at together: the eight digits of a WNID are eight
bytes, so one unsigned integer a line says its class, and lines of one class in a row are cut out at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

LONGEST = 1 << 16  # bytes of a line; no address is that long
_PAD = bytes(16)  # a line may begin in the last bytes of a block
_U64 = npt.NDArray[np.uint64]
_ODD = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9))


class Scan:
    """One pass over a list: iterate to get (wnid, lines), then read the counts.

    `lines` are whole lines of one class, each with its newline, in the order of the list; a class comes in many pieces.
    """

    def __init__(self, chunks: Iterable[bytes], wnids: Iterable[str]) -> None:
        self._chunks = chunks
        self._wanted = np.unique(np.array([_key(wnid) for wnid in wnids], dtype=np.uint64))
        self.broken: Counter[str] = Counter()  # lines of no use, by kind
        self.lines = 0
        self._sum = np.uint64(0)

    @property
    def fingerprint(self) -> str:
        """Of the list's lines as a set: the same for any order of them and any packing, another for other lines.

        A sum over all lines of a mix of their first 16 and last 8 bytes: tells lists apart, but is no cryptography.
        """
        return f"{self.lines}-{int(self._sum):016x}"

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        for block in _blocks(self._chunks, self.broken):
            yield from self._runs(block)

    def _runs(self, block: bytes) -> Iterator[tuple[str, bytes]]:
        """Cut the wanted lines out of a block of whole lines."""
        bytes_ = np.frombuffer(block + _PAD, np.uint8)
        ends = np.flatnonzero(bytes_ == ord("\n"))
        starts = np.empty_like(ends)
        starts[0], starts[1:] = 0, ends[:-1] + 1
        words: _U64 = np.ndarray((len(bytes_) - 7,), "<u8", bytes_, 0, (1,))  # the eight bytes at every offset
        keys = words[starts + 1]
        good = (bytes_[starts] == ord("n")) & (bytes_[starts + 9] == ord("_")) & _digits(keys)
        if not good.all():
            blank = (ends - starts <= 1) & ((ends == starts) | (bytes_[starts] == ord("\r")))
            self.broken["bad_id"] += int((~(good | blank)).sum())
            keys = np.where(good, keys, np.uint64(0))
        self._note(words, starts, ends, keys)
        edges = np.flatnonzero(keys[1:] != keys[:-1]) + 1
        firsts = np.concatenate(([0], edges))
        lasts = np.append(edges, len(keys)) - 1
        for run in np.flatnonzero(np.isin(keys[firsts], self._wanted)).tolist():
            first, last = firsts[run], lasts[run]
            yield "n" + int(keys[first]).to_bytes(8, "little").decode(), block[starts[first] : ends[last] + 1]

    def _note(self, words: _U64, starts: npt.NDArray[np.intp], ends: npt.NDArray[np.intp], keys: _U64) -> None:
        if not keys.all():
            there = keys != 0
            starts, ends, keys = starts[there], ends[there], keys[there]
        self.lines += len(keys)
        mixed = keys * _ODD[0] + words[starts + 8] * _ODD[1]
        mixed ^= mixed >> np.uint64(29)
        mixed += words[ends - 8] * _ODD[2]  # a good line is longer than that
        mixed *= _ODD[0]
        mixed ^= mixed >> np.uint64(32)
        self._sum = np.uint64((int(self._sum) + int(mixed.sum(dtype=np.uint64))) % 2**64)


def _key(wnid: str) -> int:
    return int.from_bytes(wnid[1:].encode(), "little")


def _digits(keys: _U64) -> npt.NDArray[np.bool_]:
    """Whether all eight bytes are ASCII digits: 3 in the high half, and still 3 after adding 6."""
    high, three = np.uint64(0xF0F0F0F0F0F0F0F0), np.uint64(0x3030303030303030)
    digits: npt.NDArray[np.bool_] = ((keys & high) == three) & (
        ((keys + np.uint64(0x0606060606060606)) & high) == three
    )
    return digits


def _blocks(chunks: Iterable[bytes], broken: Counter[str]) -> Iterator[bytes]:
    """Pieces of any size become blocks of whole lines; a line that does not end is dropped, not gathered."""
    rest, dropping = b"", False
    for chunk in chunks:
        if dropping:
            _, newline, chunk = chunk.partition(b"\n")
            if not newline:
                continue
            dropping = False
        cut = chunk.rfind(b"\n") + 1
        if cut:
            yield rest + chunk[:cut]
            rest = chunk[cut:]
        else:
            rest += chunk
        if len(rest) > LONGEST:
            broken["too_long"] += 1
            rest, dropping = b"", True
    if rest:
        yield rest + b"\n"
