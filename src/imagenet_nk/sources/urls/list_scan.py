"""Find the lines of the wanted classes in a list of any length, in one pass. Pure.

A line is `<wnid>_<serial><TAB><url>`. All lines of a block are processed together with NumPy: the eight digits of a
WNID are read as one unsigned integer a line, and consecutive lines of one class are cut out at once. This takes 0.10 s
of CPU a million lines.

`pyarrow.csv` (delimiter TAB, quoting off, binary columns) takes 0.11 s for the parsing alone, and its rows differ: a
bare CR ends a line, one line longer than a block ends the whole read with an error, and so does a line without a TAB
that is not UTF-8. Old lists have all three.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_LINE = 1 << 16  # bytes of a line; no address is that long
_PAD = bytes(16)  # for reading 16 bytes from the start of the last line
_NEWLINE, _RETURN = ord("\n"), ord("\r")
_BYTE, _SEVEN_BYTES = np.uint64(8), np.uint64(56)
_FIRST, _SECOND, _N_AND_UNDERSCORE = np.uint64(0xFF), np.uint64(0xFF00), np.uint64(0x5F6E)
_U64 = npt.NDArray[np.uint64]
_MULTIPLIERS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9))


class Scan:
    """One pass over a list: iterate to get (wnid, lines), then read the counts.

    `lines` are whole lines of one class with their newlines, in the order of the list; a class comes in many pieces.
    """

    def __init__(self, chunks: Iterable[bytes | memoryview], wnids: Iterable[str]) -> None:
        self._chunks = chunks
        self._wanted = np.unique(np.array([_wnid_key(wnid) for wnid in wnids], dtype=np.uint64))
        self.broken: Counter[str] = Counter()  # unusable lines by kind
        self.lines = 0
        self._sum = 0

    @property
    def fingerprint(self) -> str:
        """A digest of the set of lines, independent of their order and of compression.

        It is the sum over all lines of a hash of their first 16 and last 8 bytes. Not cryptographic.
        """
        return f"{self.lines}-{self._sum:016x}"

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        for block, length in _line_blocks(self._chunks, self.broken):
            yield from self._runs(block, length)

    def _runs(self, block: bytes, length: int) -> Iterator[tuple[str, bytes]]:
        """The wanted lines among the first `length` bytes of a block, which are whole lines."""
        letters = np.frombuffer(block, np.uint8)
        ends = np.flatnonzero(letters[:length] == _NEWLINE)
        starts = np.empty_like(ends)
        starts[0], starts[1:] = 0, ends[:-1] + 1
        words: _U64 = np.ndarray((len(letters) - 7,), "<u8", letters, 0, (1,))  # the eight bytes at every offset
        head, tail = words[starts], words[starts + 8]
        keys = (head >> _BYTE) | (tail << _SEVEN_BYTES)
        is_valid = (head & _FIRST) | (tail & _SECOND) == _N_AND_UNDERSCORE
        edges = np.flatnonzero(keys[1:] != keys[:-1]) + 1
        firsts = np.concatenate(([0], edges))
        if not (is_valid.all() and _are_digits(keys[firsts]).all()):
            is_valid &= _are_digits(keys)
            is_blank = (ends - starts <= 1) & ((ends == starts) | (letters[starts] == _RETURN))
            self.broken["bad_id"] += int((~(is_valid | is_blank)).sum())
            keys = np.where(is_valid, keys, np.uint64(0))
            firsts = np.concatenate(([0], np.flatnonzero(keys[1:] != keys[:-1]) + 1))
            self._update_fingerprint(
                keys[is_valid], tail[is_valid], (ends - starts)[is_valid], words[ends[is_valid] - 8]
            )
        else:
            self._update_fingerprint(keys, tail, ends - starts, words[ends - 8])  # a valid line is longer than 8 bytes
        selected = np.flatnonzero(isin_sorted(keys[firsts], self._wanted))
        after = np.append(firsts[1:], len(keys))
        for first, stop in zip(firsts[selected].tolist(), after[selected].tolist(), strict=True):
            yield "n" + int(keys[first]).to_bytes(8, "little").decode(), block[starts[first] : ends[stop - 1] + 1]

    def _update_fingerprint(self, keys: _U64, tails: _U64, lengths: npt.NDArray[np.intp], last_words: _U64) -> None:
        self.lines += len(keys)
        if (lengths < 16).any():  # their tails reach into the next line
            tails = np.where(lengths < 16, np.uint64(0), tails)
        mixed = keys * _MULTIPLIERS[0] + tails * _MULTIPLIERS[1]
        mixed ^= mixed >> np.uint64(29)
        mixed += last_words * _MULTIPLIERS[2]
        mixed *= _MULTIPLIERS[0]
        mixed ^= mixed >> np.uint64(32)
        self._sum = (self._sum + int(mixed.sum(dtype=np.uint64))) % 2**64


def isin_sorted(values: npt.NDArray[Any], ordered: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which values are in a sorted array; faster than np.isin() for small arrays."""
    if not len(ordered):
        return np.zeros(len(values), bool)
    result: npt.NDArray[np.bool_] = ordered[np.searchsorted(ordered, values) % len(ordered)] == values
    return result


def _wnid_key(wnid: str) -> int:
    return int.from_bytes(wnid[1:].encode(), "little")


def _are_digits(keys: _U64) -> npt.NDArray[np.bool_]:
    """Whether all eight bytes are ASCII digits: 3 in the high half, and still 3 after adding 6."""
    high, three = np.uint64(0xF0F0F0F0F0F0F0F0), np.uint64(0x3030303030303030)
    digits: npt.NDArray[np.bool_] = ((keys & high) == three) & (
        ((keys + np.uint64(0x0606060606060606)) & high) == three
    )
    return digits


def _line_blocks(chunks: Iterable[bytes | memoryview], broken: Counter[str]) -> Iterator[tuple[bytes, int]]:
    """Yield (block, length): the first `length` bytes are whole lines, and at least 16 more bytes follow them.

    A line longer than MAX_LINE is dropped.
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
        if len(rest) > MAX_LINE:
            broken["too_long"] += 1
            rest, dropping = b"", True
    if rest:
        yield rest + b"\n" + _PAD, len(rest) + 1
