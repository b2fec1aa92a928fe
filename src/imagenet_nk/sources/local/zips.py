"""Images in a zip on this machine, read in place by the offset of their entry."""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from pathlib import Path

from imagenet_nk.errors import SourceError
from imagenet_nk.formats.hidden import is_hidden
from imagenet_nk.sources.local.folders import MAX_BYTES
from imagenet_nk.storage.locators import path_to_text, text_to_path
from imagenet_nk.wording import one_line

_ENTRY = re.compile(r"(.*)#zip=([0-9]{1,18}),([0-9]{1,18}),([0-9]{1,18}),([0-9]{1,5}),([0-9]{1,10})\Z", re.DOTALL)
_HEADER, _SIGNATURE = 30, b"PK\3\4"
_STORED, _DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
_MOST_TIMES, _FREE = 100, 1 << 30  # a zip that unpacks to more than so many times itself, and this, is no set of images


def list_zip(file: Path) -> dict[str, str]:
    """Path and address (`<zip>#zip=<offset>,<packed size>,<size>,<method>,<crc>`) of each file but hidden ones.

    Raises SourceError, also for an encrypted zip and for a zip bomb.
    """
    try:
        with zipfile.ZipFile(file) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir() and not is_hidden(entry.filename)]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise SourceError(f"{file} is no zip that can be read: {one_line(error)}; fetch it again") from error
    if any(entry.flag_bits & 1 for entry in entries):
        raise SourceError(f"{file} is encrypted; unpack it with its password, and name the folder with source.root")
    unpacked, packed = sum(entry.file_size for entry in entries), file.stat().st_size
    if unpacked > _FREE + _MOST_TIMES * packed:
        raise SourceError(f"{file} has {packed} bytes and claims to hold {unpacked}: a zip bomb, no images")
    path = path_to_text(str(file.absolute()))
    return {
        entry.filename: f"{path}#zip={entry.header_offset},{entry.compress_size},{entry.file_size},"
        f"{entry.compress_type},{entry.CRC}"
        for entry in entries
    }


def is_zip_entry(address: str) -> bool:
    return bool(_ENTRY.match(address))


def read_zip_entry(address: str) -> bytes:
    """The bytes at an address of `list_zip`. Raises OSError."""
    if not (parts := _ENTRY.match(address)):
        raise OSError(f"{address} is no entry of a zip")
    offset, packed, size, method, crc = map(int, parts.groups()[1:])
    if max(packed, size) > MAX_BYTES:
        raise OSError(f"{address} has {max(packed, size)} bytes; no image is read beyond {MAX_BYTES}")
    with text_to_path(parts[1]).open("rb", buffering=0) as file:
        header = os.pread(file.fileno(), _HEADER, offset)
        if not header.startswith(_SIGNATURE) or len(header) < _HEADER:
            raise OSError(f"{address}: no entry begins there")
        names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        data = os.pread(file.fileno(), packed, offset + _HEADER + names)
    return _checked(_inflated(data, method, size, address), size, crc, address)


def _inflated(data: bytes, method: int, size: int, address: str) -> bytes:
    if method not in (_STORED, _DEFLATED):
        raise OSError(f"{address} is packed by method {method}, which is not read; unpack the zip")
    try:
        return data if method == _STORED else zlib.decompressobj(-15).decompress(data, size + 1)
    except zlib.error as error:
        raise OSError(f"{address}: {error}") from error


def _checked(data: bytes, size: int, crc: int, address: str) -> bytes:
    if len(data) != size or zlib.crc32(data) != crc:
        raise OSError(f"{address}: the entry is damaged")
    return data
