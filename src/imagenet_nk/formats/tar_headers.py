"""Tar headers: parse one, or find the next one anywhere in a piece of a tar. Pure.

Formats: POSIX.1-1988 ustar and GNU tar. A header is one block of 512 bytes and gives the size of the data behind it.
"""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass

from imagenet_nk.formats.magic import TAR, TAR_OFFSET
from imagenet_nk.formats.numbers import MAX

BLOCK = 512
END_MARK = bytes(2 * BLOCK)  # POSIX.1-1988: two blocks of zeros
_FILE_TYPES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_LONG_NAME = 99  # characters; the field has room for 100, or for 99 and a NUL
_EXTENSION_TYPES = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


@dataclass(frozen=True, slots=True)
class Header:
    """A valid header: checksum and size are right."""

    name: str
    size: int  # bytes of data that follow the header, before padding
    kind: bytes  # type flag

    @property
    def is_file(self) -> bool:
        """Whether plain data follows: no link, device, folder, sparse map or extended header."""
        return self.kind in _FILE_TYPES

    @property
    def is_extension_header(self) -> bool:
        """Whether it describes the next member (a long name, pax records)."""
        return self.kind in _EXTENSION_TYPES

    @property
    def name_truncated(self) -> bool:
        """Whether an extension header may hold the full name: this one fills its field, or is not plain ASCII."""
        return len(self.name) >= _LONG_NAME or "?" in self.name or not self.name.isascii()

    @property
    def total_size(self) -> int:
        """Bytes from this header to the next one."""
        return BLOCK + padded(self.size)


def stem(name: str) -> str | None:
    """The file name without folder and extension; None if it is empty or the path is absolute or contains `..`."""
    if name.startswith("/") or "\\" in name or ".." in name.split("/"):
        return None
    name = name.rpartition("/")[2]
    return name.rpartition(".")[0] or name or None


def padded(size: int) -> int:
    """Size of data with its padding to whole blocks."""
    return -(-size // BLOCK) * BLOCK


def parse(block: bytes) -> Header | None:
    """The header in the first 512 bytes; None if magic, checksum or size are wrong."""
    if block[TAR_OFFSET : TAR_OFFSET + len(TAR)] != TAR:
        return None
    try:
        info = tarfile.TarInfo.frombuf(block[:BLOCK], "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return None
    if not 0 <= info.size <= MAX:
        return None
    kind = info.type if not (info.isdir() and info.type == tarfile.AREGTYPE) else tarfile.DIRTYPE
    has_data = kind in (*_FILE_TYPES, *_EXTENSION_TYPES, tarfile.XGLTYPE, tarfile.GNUTYPE_SPARSE)
    return Header(info.name, info.size if has_data else 0, kind)


def is_end(block: bytes) -> bool:
    """Whether the block is all zeros, which marks the end of a tar."""
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


def full_name(data: bytes) -> str | None:
    """The name of the file whose header is the last block of `data`, by the pax or GNU headers directly before it.

    Without such headers, the name in the header itself. None if they cannot be parsed or describe no plain file.
    """
    end = len(data) - BLOCK
    header = parse(data[end:])
    at = 0
    while match := find(data[:end], at):
        at = match[0] + BLOCK
        if _only_extension_headers(data, match[0], end):
            return _name_by_tarfile(data[match[0] :], header)
    return header.name if header else None


def _only_extension_headers(data: bytes, at: int, end: int) -> bool:
    """Whether extension headers fill data[at:end] exactly."""
    while at < end and (header := parse(data[at : at + BLOCK])) and header.is_extension_header:
        at += header.total_size
    return at == end


def _name_by_tarfile(headers: bytes, header: Header | None) -> str | None:
    try:
        with tarfile.open(fileobj=io.BytesIO(headers), mode="r:") as archive:
            info = archive.next()
    except (tarfile.TarError, OSError, ValueError, OverflowError):
        return None
    is_plain = info and header and info.isreg() and not info.issparse() and info.size == header.size
    return info.name if info and is_plain else None
