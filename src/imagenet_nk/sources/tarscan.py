"""Tar headers out of bytes: read one, or find the next one in the middle of something. Pure.

Form: POSIX.1-1988 ustar and GNU tar; a header is one block of 512 bytes and says how long the member's data is.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass

BLOCK = 512
_MAGIC, _MAGIC_AT = b"ustar", 257
_FILE_TYPES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_PREFIX_TYPES = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


@dataclass(frozen=True, slots=True)
class Header:
    """One valid header: its checksum is right and its size is a size."""

    name: str
    size: int  # bytes of data that follow the header, before padding
    kind: bytes  # type flag

    @property
    def is_file(self) -> bool:
        """Whether plain data follows: no link, device, folder, sparse map or extended header."""
        return self.kind in _FILE_TYPES

    @property
    def is_prefix(self) -> bool:
        """Whether it tells something (a long name, pax records) about the member behind it."""
        return self.kind in _PREFIX_TYPES

    @property
    def stem(self) -> str | None:
        """The file name without folder and extension; None if the path is absolute, climbs, or is no name at all."""
        if self.name.startswith("/") or "\\" in self.name or ".." in self.name.split("/"):
            return None
        name = self.name.rpartition("/")[2]
        return name.rpartition(".")[0] or name or None

    @property
    def span(self) -> int:
        """Bytes from this header to the next one."""
        return BLOCK + padded(self.size)


def padded(size: int) -> int:
    """Data is filled up to whole blocks."""
    return -(-size // BLOCK) * BLOCK


def parse(block: bytes) -> Header | None:
    """The header in the first 512 bytes; None if there is none, or it is broken (magic, checksum, size)."""
    if block[_MAGIC_AT : _MAGIC_AT + 5] != _MAGIC:
        return None
    try:
        info = tarfile.TarInfo.frombuf(block[:BLOCK], "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return None
    if info.size < 0:
        return None
    kind = info.type if not (info.isdir() and info.type == tarfile.AREGTYPE) else tarfile.DIRTYPE
    carries = kind in _FILE_TYPES or kind in _PREFIX_TYPES or kind in (tarfile.XGLTYPE, tarfile.GNUTYPE_SPARSE)
    return Header(info.name, info.size if carries else 0, kind)


def is_end(block: bytes) -> bool:
    """Whether a block of zeros stands where a header would: the end of the archive."""
    return len(block) >= BLOCK and not any(block[:BLOCK])


def find(data: bytes, start: int = 0) -> tuple[int, Header] | None:
    """The first valid header at a block boundary of `data` at or after `start`, with its offset."""
    at = data.find(_MAGIC, start + _MAGIC_AT)
    while at >= 0:
        offset = at - _MAGIC_AT
        if offset % BLOCK == 0 and offset >= start and (header := parse(data[offset : offset + BLOCK])):
            return offset, header
        at = data.find(_MAGIC, at + 1)
    return None
