"""Numbers from outside, as headers, archives, manifests and lists write them: ASCII digits, at most 18 of them.

int() takes more than that: digits of every script, signs, blanks, underscores, and thousands of places, for which it
raises ValueError. A number of 18 digits fits into 64 bits, so that files can seek to it and SQLite can hold it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_DIGITS = 18
MAX = 10**MAX_DIGITS - 1
_DIGITS = rf"[0-9]{{1,{MAX_DIGITS}}}"
_NUMBER = re.compile(_DIGITS)
_BYTE_RANGE = re.compile(rf"(.*)#bytes=({_DIGITS})-({_DIGITS})", re.DOTALL)
_ROW = re.compile(rf"(.*)#row=({_DIGITS})", re.DOTALL)
_CONTENT_RANGE = re.compile(rf"bytes ({_DIGITS})-({_DIGITS})/({_DIGITS})")  # RFC 9110, 14.4


class ByteRange(NamedTuple):
    """Bytes of a file, both ends included as in HTTP."""

    file: str
    first: int
    last: int

    @property
    def size(self) -> int:
        return self.last - self.first + 1


class ContentRange(NamedTuple):
    """The bytes that a response holds, both ends included, and the size of the whole file."""

    first: int
    last: int
    total: int


def parse_number(text: str, least: int = 0, most: int = MAX) -> int | None:
    """The number that the digits say; None if they are none, or not from `least` to `most`."""
    number = int(text) if _NUMBER.fullmatch(text) else -1
    return number if least <= number <= most else None


def parse_byte_range(address: str) -> ByteRange | None:
    """The range of `<file>#bytes=<first>-<last>`; None if it is malformed or ends before it begins."""
    match = _BYTE_RANGE.fullmatch(address)
    found = ByteRange(match[1], int(match[2]), int(match[3])) if match else None
    return found if found and found.first <= found.last else None


def parse_row(address: str) -> tuple[str, int] | None:
    """File and row of `<file>#row=<number>`; None if it is malformed."""
    match = _ROW.fullmatch(address)
    return (match[1], int(match[2])) if match else None


def parse_content_range(header: str) -> ContentRange | None:
    """The header Content-Range of a response with status 206; None unless first <= last < total."""
    match = _CONTENT_RANGE.fullmatch(header)
    found = ContentRange(*map(int, match.groups())) if match else None
    return found if found and found.first <= found.last < found.total else None
