"""The lines of one class made sound: `id<TAB>address<LF>`, ASCII, addresses usable. Pure.

Most lines of a list are sound already; all lines of a block are looked at together, and only the odd ones one by one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imagenet_nk.sources.urls.url_forms import canonical, percent_encode

_TAB_HTTP = np.uint64(int.from_bytes(b"\thttp://", "little"))
_LONGEST_ID, _LONGEST_URL = 64, 2048  # of a line that is not odd
_PAD = bytes(24)
_NEWLINE = ord("\n")
_SERIAL = re.compile(rb"n\d{8}_[\x21-\x7e]{1,54}\Z")
_FOLD = np.uint64(0x2020202020202020)  # makes ASCII letters of both cases one
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9))
_PLAIN = {*range(0x21, 0x7F), *b"\t\n"} - {*b'"#<>\\^`{|}'}  # bytes that a URL may hold as they are
_IS_ODD = bytes(byte not in _PLAIN for byte in range(256))

_U64 = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Lines:
    """Sound lines, and two numbers a line."""

    text: bytes
    likes: _U64  # the same for addresses with the same normal form, rarely for others
    names: _U64  # the same for the same image id, rarely for others


class _Layout:
    """Where things are in a block of whole lines."""

    def __init__(self, block: bytes) -> None:
        padded = np.frombuffer(_PAD + block + _PAD, np.uint8)
        self.letters = padded[len(_PAD) :]
        self.ends, tabs = (np.flatnonzero(self.letters[: len(block)] == byte) for byte in b"\n\t")
        self.starts = np.concatenate(([0], self.ends[:-1] + 1))
        of_tab = np.searchsorted(self.ends, tabs)
        self.tab = np.zeros_like(self.ends)  # one tab of each line; 0 where there is none
        self.tab[of_tab] = tabs
        self.one_tab = np.bincount(of_tab, minlength=len(self.ends)) == 1
        self._words: _U64 = np.ndarray((len(padded) - 7,), "<u8", padded, 0, (1,))

    def words(self, at: npt.NDArray[np.intp]) -> _U64:
        """The eight bytes at each offset, which may be up to 24 before the block."""
        return self._words[at + len(_PAD)]


def parse(block: bytes, broken: Counter[str]) -> Lines:
    """The usable lines of a block of whole lines of one class; the others are counted by kind in `broken`."""
    layout = _Layout(block)
    odd = _odd(block, layout)
    likes, names = _numbers(layout)
    if not odd.any():
        return Lines(block, likes, names)
    rows = np.flatnonzero(odd)
    parts = [Lines(without(block, rows), likes[~odd], names[~odd])]
    if mended := list(_mended(picked(block, rows), broken)):
        text = "".join(f"{image_id}\t{url}\n" for image_id, url in mended).encode()
        plain = "".join(f"{image_id}\thttp://{canonical(url)}\n" for image_id, url in mended).encode()
        parts.append(Lines(text, *_numbers(_Layout(plain))))
    return merged(parts)


def picked(text: bytes, rows: npt.NDArray[np.intp]) -> list[bytes]:
    """Some of the lines, by number in rising order: split() for few lines out of many."""
    return [text[start:end] for start, end in _spans(text, rows)]


def without(text: bytes, rows: npt.NDArray[np.intp]) -> bytes:
    """All lines but those."""
    spans = _spans(text, rows)
    between = zip([0, *(end + 1 for _, end in spans)], [*(start for start, _ in spans), len(text)], strict=True)
    return b"".join([text[first:stop] for first, stop in between])


def _spans(text: bytes, rows: npt.NDArray[np.intp]) -> list[tuple[int, int]]:
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == _NEWLINE)
    starts = np.where(rows > 0, ends[rows - 1] + 1, 0)
    return list(zip(starts.tolist(), ends[rows].tolist(), strict=True))


def merged(parts: list[Lines]) -> Lines:
    """All their lines."""
    if len(parts) == 1:
        return parts[0]
    likes, names = (
        np.concatenate([getattr(part, name) for part in parts] or [np.empty(0, np.uint64)])
        for name in ("likes", "names")
    )
    return Lines(b"".join([part.text for part in parts]), likes, names)


def _odd(block: bytes, layout: _Layout) -> npt.NDArray[np.bool_]:
    """Which lines are not `id<TAB>http://address` in ASCII that needs no encoding."""
    id_length = layout.tab - layout.starts
    odd: npt.NDArray[np.bool_] = ~layout.one_tab | (layout.words(layout.tab) != _TAB_HTTP)
    odd |= layout.letters[layout.tab + 8] == ord("/")
    odd |= (id_length < 11) | (id_length > _LONGEST_ID) | (layout.ends - layout.tab > _LONGEST_URL)
    odd_letters = np.frombuffer(block.translate(_IS_ODD), bool)
    odd[np.searchsorted(layout.ends, np.flatnonzero(odd_letters))] = True
    at = block.find(b":80")
    while at >= 0:
        odd[np.searchsorted(layout.ends, at)] = True
        at = block.find(b":80", at + 1)
    return odd


def _numbers(layout: _Layout) -> tuple[_U64, _U64]:
    """`likes` and `names` of sound lines, out of the last 24 and the first 8 bytes of an address and its length.

    An address of less than 24 bytes is like all others of its length.
    """
    ends, tab = layout.ends, layout.tab
    likes = length = (ends - tab).astype(np.uint64) * _MIX[0]
    for i, at in enumerate((tab + 8, ends - 8, ends - 16, ends - 24)):
        likes = (likes ^ (layout.words(at) | _FOLD)) * _MIX[i % 3]
        likes ^= likes >> np.uint64(29)
    short = ends - tab < 8 + 24  # looking back from its end would reach its id
    likes = np.where(short, length, likes) if short.any() else likes
    serial = layout.words(tab - 8)
    names = (layout.words(layout.starts + 1) * _MIX[1] ^ serial) * _MIX[2]
    return likes, names


def _mended(lines: Iterable[bytes], broken: Counter[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        line = line.removesuffix(b"\r")
        if not line:
            continue
        serial, tab, raw = line.partition(b"\t")
        url = percent_encode(raw.strip(b" \t")) if tab else None
        if b"\0" in line:
            broken["nul"] += 1
        elif not tab:
            broken["no_tab"] += 1
        elif not _SERIAL.match(serial):
            broken["bad_id"] += 1
        elif url is None:
            broken["no_address"] += 1
        else:
            yield serial.decode(), url
