"""Tar headers out of bytes: read one, or find the next one in the middle of something. Pure.

Form: POSIX.1-1988 ustar and GNU tar; a header is one block of 512 bytes and says how long the member's data is.
"""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass

from imagenet_nk.formats.magic import TAR, TAR_OFFSET

BLOCK = 512
END_MARK = bytes(2 * BLOCK)  # POSIX.1-1988: two blocks of zeros
_FILE_TYPES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_LONG_NAME = 99  # characters; the field has room for 100, or for 99 and a NUL
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
    def may_be_cut(self) -> bool:
        """Whether its name looks as if the whole one stood in a header before: as long as fits, or not plain ASCII."""
        return len(self.name) >= _LONG_NAME or "?" in self.name or not self.name.isascii()

    @property
    def span(self) -> int:
        """Bytes from this header to the next one."""
        return BLOCK + padded(self.size)


def stem(name: str) -> str | None:
    """The file name without folder and extension; None if the path is absolute, climbs, or is no name at all."""
    if name.startswith("/") or "\\" in name or ".." in name.split("/"):
        return None
    name = name.rpartition("/")[2]
    return name.rpartition(".")[0] or name or None


def padded(size: int) -> int:
    """Data is filled up to whole blocks."""
    return -(-size // BLOCK) * BLOCK


def parse(block: bytes) -> Header | None:
    """The header in the first 512 bytes; None if there is none, or it is broken (magic, checksum, size)."""
    if block[TAR_OFFSET : TAR_OFFSET + 5] != TAR:
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
    at = data.find(TAR, start + TAR_OFFSET)
    while at >= 0:
        offset = at - TAR_OFFSET
        if offset % BLOCK == 0 and offset >= start and (header := parse(data[offset : offset + BLOCK])):
            return offset, header
        at = data.find(TAR, at + 1)
    return None


def whole_name(data: bytes) -> str | None:
    """The name of the plain file whose header is the last block of `data`, as pax or GNU headers before it have it.

    Its own name if there are none; None if they cannot be read, or make something else of it than a plain file.
    """
    end = len(data) - BLOCK
    own = parse(data[end:])
    at = 0
    while found := find(data[:end], at):
        at = found[0] + BLOCK
        if _leads_to(end, data, found[0]):
            return _described(data[found[0] :], own)
    return own.name if own else None


def _leads_to(end: int, data: bytes, at: int) -> bool:
    """Whether there are only headers about the next member from one offset up to another."""
    while at < end and (header := parse(data[at : at + BLOCK])) and header.is_prefix:
        at += header.span
    return at == end


def _described(headers: bytes, own: Header | None) -> str | None:
    try:
        with tarfile.open(fileobj=io.BytesIO(headers), mode="r:") as archive:
            info = archive.next()
    except (tarfile.TarError, OSError, ValueError):
        return None
    plain = info and own and info.isreg() and not info.issparse() and info.size == own.size
    return info.name if info and plain else None
