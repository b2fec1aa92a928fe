"""Decompressing a gzip file on a thread of its own, ahead of the reader; isal releases Python's lock meanwhile."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from isal import isal_zlib

from imagenet_nk.formats.magic import GZIP

log = logging.getLogger(__name__)

# Compressed bytes at a time. The thread waits for Python's lock after each, up to 5 ms: so not too few.
_READ_SIZE = 1 << 21
_AHEAD = 3  # pieces that are prepared for the reader
_GZIP_FORMAT = 31  # zlib's wbits


class DamagedError(Exception):
    """The file is no complete gzip file."""


def gunzip(path: Path) -> Generator[bytes, None, None]:
    """The decompressed bytes in pieces of a few MiB. Raises OSError, and DamagedError behind the last valid byte.

    Bytes behind the end that are no gzip are left out with a warning, as the program gzip does.
    """
    with path.open("rb") as file, ThreadPoolExecutor(1, "gunzip") as pool:
        pieces = _pieces(file, path)
        ahead = deque(pool.submit(next, pieces, b"") for _ in range(_AHEAD))
        while piece := ahead.popleft().result():
            ahead.append(pool.submit(next, pieces, b""))
            yield piece


def _pieces(file: BinaryIO, path: Path) -> Iterator[bytes]:
    """The members of a gzip file one after the other; zeros behind the last one are padding."""
    packed = file.read(_READ_SIZE)
    while packed:
        member = isal_zlib.decompressobj(_GZIP_FORMAT)
        while not member.eof:
            if not packed:
                raise DamagedError("it ends too early")
            try:
                piece = member.decompress(packed)
            except isal_zlib.error as error:  # type: ignore[misc]  # isal types it as a value
                raise DamagedError(str(error)) from error
            if piece:
                yield piece
            packed = member.unused_data if member.eof else file.read(_READ_SIZE)
        packed = _skip_zeros(packed, file)
        if packed and not packed.startswith(GZIP):
            count = os.fstat(file.fileno()).st_size - file.tell() + len(packed)
            log.warning("%s: the last %d bytes, behind the end of the gzip data, are no gzip: left out", path, count)
            return


def _skip_zeros(packed: bytes, file: BinaryIO) -> bytes:
    """What follows a member and its padding, long enough to recognise it; empty at the end of the file."""
    while len(packed := packed.lstrip(b"\0")) < len(GZIP) and (more := file.read(_READ_SIZE)):
        packed += more
    return packed
