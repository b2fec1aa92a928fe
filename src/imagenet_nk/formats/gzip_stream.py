"""A gzip file unpacked ahead of its reader, in a thread of its own: inflating leaves Python's lock alone."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from queue import Empty, Full, Queue
from typing import BinaryIO

from isal import isal_zlib

from imagenet_nk.formats.magic import GZIP

log = logging.getLogger(__name__)

# Packed bytes inflated in one go. The thread has to wait for Python's lock after each, up to 5 ms: so not too few.
_PACKED = 1 << 21
_AHEAD = 3  # pieces that wait for the reader
_GZIP_FORMAT = 31  # zlib's wbits


class DamagedError(Exception):
    """The file is no whole gzip file."""


def inflated(path: Path) -> Generator[bytes, None, None]:
    """The unpacked bytes in pieces of a few MiB. Raises OSError, and DamagedError behind the last sound byte.

    What stands behind the end and is no gzip is left out, as gzip leaves it out, and said.
    """
    pieces: Queue[bytes | Exception | None] = Queue(_AHEAD)
    stopped = threading.Event()

    def put(piece: bytes | Exception | None) -> None:
        while not stopped.is_set():
            try:
                return pieces.put(piece, timeout=0.1)
            except Full:
                continue
        return None

    def work() -> None:
        try:
            with path.open("rb") as file:
                for piece in _inflate(file, path):
                    put(piece)
                    if stopped.is_set():
                        return
            put(None)
        except (OSError, DamagedError) as error:
            put(error)

    thread = threading.Thread(target=work, name="inflate", daemon=True)
    thread.start()
    try:
        while (piece := pieces.get()) is not None:
            if isinstance(piece, Exception):
                raise piece
            yield piece
    finally:
        stopped.set()
        while True:
            try:
                pieces.get_nowait()
            except Empty:
                break
        thread.join()


def _inflate(file: BinaryIO, path: Path) -> Iterator[bytes]:
    """The members of a gzip file one after the other; zeros behind the last one are padding."""
    packed = file.read(_PACKED)
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
            packed = member.unused_data if member.eof else file.read(_PACKED)
        packed = _behind(packed, file)
        if packed and not packed.startswith(GZIP):
            count = os.fstat(file.fileno()).st_size - file.tell() + len(packed)
            log.warning(
                "%s: the last %d bytes, behind the end of what is gzip'ed, are no gzip: left out, as gzip does",
                path,
                count,
            )
            return


def _behind(packed: bytes, file: BinaryIO) -> bytes:
    """What follows a member, zeros left out: enough of it to tell what it is, nothing at the end of the file."""
    while len(packed := packed.lstrip(b"\0")) < len(GZIP) and (more := file.read(_PACKED)):
        packed += more
    return packed
