"""Turn the lines of one class into valid lines: `id<TAB>url<LF>`, ASCII, percent-encoded. Pure.

Most lines of a list are valid already: all lines of a block are checked together, and only the others are parsed one by
one.
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
_MAX_ID, _MAX_URL = 64, 2048  # longer ones take the slow path
_PAD = bytes(24)
_NEWLINE = ord("\n")
_SERIAL = re.compile(rb"n[0-9]{8}_[\x21-\x7e]{1,54}\Z")
_LOWERCASE = np.uint64(0x2020202020202020)  # maps ASCII letters of both cases to one value
_MULTIPLIERS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9))
_PLAIN = {*range(0x21, 0x7F), *b"\t\n"} - {*b'"#<>\\^`{|}'}  # bytes that need no percent-encoding
_NEEDS_ENCODING = bytes(byte not in _PLAIN for byte in range(256))

_U64 = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Lines:
    """Valid lines, and two hashes of each."""

    text: bytes
    url_keys: _U64  # equal for URLs with the same canonical form; collisions are rare
    id_keys: _U64  # equal for equal image ids; collisions are rare


class _Layout:
    """Positions of line starts, ends and TABs in a block of whole lines."""

    def __init__(self, block: bytes) -> None:
        padded = np.frombuffer(_PAD + block + _PAD, np.uint8)
        self.bytes = padded[len(_PAD) :]
        self.ends, tabs = (np.flatnonzero(self.bytes[: len(block)] == byte) for byte in b"\n\t")
        self.starts = np.concatenate(([0], self.ends[:-1] + 1))
        of_tab = np.searchsorted(self.ends, tabs)
        self.tab = np.zeros_like(self.ends)  # position of a TAB of each line; 0 = none
        self.tab[of_tab] = tabs
        self.one_tab = np.bincount(of_tab, minlength=len(self.ends)) == 1
        self._words: _U64 = np.ndarray((len(padded) - 7,), "<u8", padded, 0, (1,))

    def words(self, at: npt.NDArray[np.intp]) -> _U64:
        """The eight bytes at each offset, from 24 before the block on, as integers."""
        return self._words[at + len(_PAD)]


def parse(block: bytes, broken: Counter[str]) -> Lines:
    """The usable lines among whole lines of one class; the others are counted by kind in `broken`."""
    layout = _Layout(block)
    is_slow = _needs_slow_path(block, layout)
    url_keys, id_keys = _keys(layout)
    if not is_slow.any():
        return Lines(block, url_keys, id_keys)
    rows = np.flatnonzero(is_slow)
    parts = [Lines(drop_lines(block, rows), url_keys[~is_slow], id_keys[~is_slow])]
    if repaired := list(_parse_slow(select_lines(block, rows), broken)):
        text = "".join(f"{image_id}\t{url}\n" for image_id, url in repaired).encode()
        canonical_text = "".join(f"{image_id}\thttp://{canonical(url)}\n" for image_id, url in repaired).encode()
        parts.append(Lines(text, *_keys(_Layout(canonical_text))))
    return concatenate(parts)


def select_lines(text: bytes, rows: npt.NDArray[np.intp]) -> list[bytes]:
    """The lines with these numbers, in ascending order."""
    return [text[start:end] for start, end in _spans(text, rows)]


def drop_lines(text: bytes, rows: npt.NDArray[np.intp]) -> bytes:
    """The text without the lines with these numbers."""
    spans = _spans(text, rows)
    between = zip([0, *(end + 1 for _, end in spans)], [*(start for start, _ in spans), len(text)], strict=True)
    return b"".join([text[first:stop] for first, stop in between])


def _spans(text: bytes, rows: npt.NDArray[np.intp]) -> list[tuple[int, int]]:
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == _NEWLINE)
    starts = np.where(rows > 0, ends[rows - 1] + 1, 0)
    return list(zip(starts.tolist(), ends[rows].tolist(), strict=True))


def concatenate(parts: list[Lines]) -> Lines:
    """All lines of the parts, in order."""
    if len(parts) == 1:
        return parts[0]
    url_keys, id_keys = (
        np.concatenate([getattr(part, name) for part in parts] or [np.empty(0, np.uint64)])
        for name in ("url_keys", "id_keys")
    )
    return Lines(b"".join([part.text for part in parts]), url_keys, id_keys)


def _needs_slow_path(block: bytes, layout: _Layout) -> npt.NDArray[np.bool_]:
    """Which lines are not `id<TAB>http://...` in ASCII without characters to encode and without a port 80."""
    id_length = layout.tab - layout.starts
    is_slow: npt.NDArray[np.bool_] = ~layout.one_tab | (layout.words(layout.tab) != _TAB_HTTP)
    is_slow |= layout.bytes[layout.tab + 8] == ord("/")
    is_slow |= (id_length < 11) | (id_length > _MAX_ID) | (layout.ends - layout.tab > _MAX_URL)
    bad_bytes = np.frombuffer(block.translate(_NEEDS_ENCODING), bool)
    is_slow[np.searchsorted(layout.ends, np.flatnonzero(bad_bytes))] = True
    at = block.find(b":80")
    while at >= 0:
        is_slow[np.searchsorted(layout.ends, at)] = True
        at = block.find(b":80", at + 1)
    return is_slow


def _keys(layout: _Layout) -> tuple[_U64, _U64]:
    """(url_keys, id_keys) of valid lines. A URL key depends on its length and its first 8 and last 24 bytes.

    URLs shorter than 24 bytes share one key for each length.
    """
    ends, tab = layout.ends, layout.tab
    url_keys = length = (ends - tab).astype(np.uint64) * _MULTIPLIERS[0]
    for i, at in enumerate((tab + 8, ends - 8, ends - 16, ends - 24)):
        url_keys = (url_keys ^ (layout.words(at) | _LOWERCASE)) * _MULTIPLIERS[i % 3]
        url_keys ^= url_keys >> np.uint64(29)
    short = ends - tab < 8 + 24  # the last 24 bytes would reach into the id
    url_keys = np.where(short, length, url_keys) if short.any() else url_keys
    serial = layout.words(tab - 8)
    id_keys = (layout.words(layout.starts + 1) * _MULTIPLIERS[1] ^ serial) * _MULTIPLIERS[2]
    return url_keys, id_keys


def _parse_slow(lines: Iterable[bytes], broken: Counter[str]) -> Iterable[tuple[str, str]]:
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
