"""The lines of the wanted classes out of a list of any length, in one pass. Pure.

A line is `<wnid>_<serial><TAB><url>`. All lines of a block are looked at together: the eight digits of a WNID are eight
bytes, so one unsigned integer a line says its class, and lines of one class in a row are cut out at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

LONGEST = 1 << 16  # bytes of a line; no address is that long
_PAD = bytes(16)  # a line may begin in the last bytes of a block
_NEWLINE, _RETURN = ord("\n"), ord("\r")
_BYTE, _SEVEN_BYTES = np.uint64(8), np.uint64(56)
_FIRST, _SECOND, _N_AND_UNDERSCORE = np.uint64(0xFF), np.uint64(0xFF00), np.uint64(0x5F6E)
_U64 = npt.NDArray[np.uint64]
_ODD = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9))


class Scan:
    """One pass over a list: iterate to get (wnid, lines), then read the counts.

    `lines` are whole lines of one class, each with its newline, in the order of the list; a class comes in many pieces.
    """

    def __init__(self, chunks: Iterable[bytes | memoryview], wnids: Iterable[str]) -> None:
        self._chunks = chunks
        self._wanted = np.unique(np.array([_key(wnid) for wnid in wnids], dtype=np.uint64))
        self.broken: Counter[str] = Counter()  # lines of no use, by kind
        self.lines = 0
        self._sum = 0

    @property
    def fingerprint(self) -> str:
        """Of the list's lines as a set: the same for any order of them and any packing, another for other lines.

        A sum over all lines of a mix of their first 16 and last 8 bytes: tells lists apart, but is no cryptography.
        """
        return f"{self.lines}-{self._sum:016x}"

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        for block, length in _blocks(self._chunks, self.broken):
            yield from self._runs(block, length)

    def _runs(self, block: bytes, length: int) -> Iterator[tuple[str, bytes]]:
        """Cut the wanted lines out of the first `length` bytes of a block, which are whole lines."""
        letters = np.frombuffer(block, np.uint8)
        ends = np.flatnonzero(letters[:length] == _NEWLINE)
        starts = np.empty_like(ends)
        starts[0], starts[1:] = 0, ends[:-1] + 1
        words: _U64 = np.ndarray((len(letters) - 7,), "<u8", letters, 0, (1,))  # the eight bytes at every offset
        head, tail = words[starts], words[starts + 8]
        keys = (head >> _BYTE) | (tail << _SEVEN_BYTES)
        formed = (head & _FIRST) | (tail & _SECOND) == _N_AND_UNDERSCORE
        edges = np.flatnonzero(keys[1:] != keys[:-1]) + 1
        firsts = np.concatenate(([0], edges))
        if not (formed.all() and _digits(keys[firsts]).all()):
            formed &= _digits(keys)
            blank = (ends - starts <= 1) & ((ends == starts) | (letters[starts] == _RETURN))
            self.broken["bad_id"] += int((~(formed | blank)).sum())
            keys = np.where(formed, keys, np.uint64(0))
            firsts = np.concatenate(([0], np.flatnonzero(keys[1:] != keys[:-1]) + 1))
            self._note(keys[formed], tail[formed], (ends - starts)[formed], words[ends[formed] - 8])
        else:
            self._note(keys, tail, ends - starts, words[ends - 8])  # a good line is longer than that
        found = np.flatnonzero(among(keys[firsts], self._wanted))
        after = np.append(firsts[1:], len(keys))
        for first, stop in zip(firsts[found].tolist(), after[found].tolist(), strict=True):
            yield "n" + int(keys[first]).to_bytes(8, "little").decode(), block[starts[first] : ends[stop - 1] + 1]

    def _note(self, keys: _U64, tails: _U64, lengths: npt.NDArray[np.intp], last_words: _U64) -> None:
        self.lines += len(keys)
        if (lengths < 16).any():  # a tail that reaches into the next line
            tails = np.where(lengths < 16, np.uint64(0), tails)
        mixed = keys * _ODD[0] + tails * _ODD[1]
        mixed ^= mixed >> np.uint64(29)
        mixed += last_words * _ODD[2]
        mixed *= _ODD[0]
        mixed ^= mixed >> np.uint64(32)
        self._sum = (self._sum + int(mixed.sum(dtype=np.uint64))) % 2**64


def among(values: npt.NDArray[Any], ordered: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which values are in a sorted array: np.isin() for many small calls."""
    if not len(ordered):
        return np.zeros(len(values), bool)
    found: npt.NDArray[np.bool_] = ordered[np.searchsorted(ordered, values) % len(ordered)] == values
    return found


def _key(wnid: str) -> int:
    return int.from_bytes(wnid[1:].encode(), "little")


def _digits(keys: _U64) -> npt.NDArray[np.bool_]:
    """Whether all eight bytes are ASCII digits: 3 in the high half, and still 3 after adding 6."""
    high, three = np.uint64(0xF0F0F0F0F0F0F0F0), np.uint64(0x3030303030303030)
    digits: npt.NDArray[np.bool_] = ((keys & high) == three) & (
        ((keys + np.uint64(0x0606060606060606)) & high) == three
    )
    return digits


def _blocks(chunks: Iterable[bytes | memoryview], broken: Counter[str]) -> Iterator[tuple[bytes, int]]:
    """Pieces of any size become blocks, of which so many bytes are whole lines, and at least 16 more stand behind.

    A line that does not end is dropped, not gathered.
    """
    rest, dropping = b"", False
    for chunk in chunks:
        if dropping:
            _, newline, chunk = bytes(chunk).partition(b"\n")
            if not newline:
                continue
            dropping = False
        block = b"".join((rest, chunk))
        length = block.rfind(b"\n", len(rest)) + 1
        if length:
            yield (block if len(block) - length >= len(_PAD) else block + _PAD), length
        rest = block[length:]
        if len(rest) > LONGEST:
            broken["too_long"] += 1
            rest, dropping = b"", True
    if rest:
        yield rest + b"\n" + _PAD, len(rest) + 1
