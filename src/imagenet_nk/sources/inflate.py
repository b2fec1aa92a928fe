"""A gzip file unpacked ahead of its reader, in a thread of its own: inflating leaves Python's lock alone."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from queue import Empty, Full, Queue
from typing import BinaryIO

from isal import isal_zlib

# Packed bytes inflated in one go. The thread has to wait for Python's lock after each, up to 5 ms: so not too few.
_PACKED = 1 << 21
_AHEAD = 3  # pieces that wait for the reader
_GZIP_FORMAT = 31  # zlib's wbits


class DamagedError(Exception):
    """The file is no whole gzip file."""


def inflated(path: Path) -> Generator[bytes, None, None]:
    """The unpacked bytes in pieces of a few MiB. Raises OSError, and DamagedError behind the last sound byte."""
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
                for piece in _inflate(file):
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


def _inflate(file: BinaryIO) -> Iterator[bytes]:
    """The members of a gzip file one after the other; zeros behind the last one are padding."""
    member = isal_zlib.decompressobj(_GZIP_FORMAT)
    begun = False
    while packed := file.read(_PACKED):
        while packed:
            try:
                piece = member.decompress(packed)
            except isal_zlib.error as error:  # type: ignore[misc]  # isal types it as a value
                raise DamagedError(str(error)) from error
            begun, packed = True, b""
            if piece:
                yield piece
            if member.eof:
                packed = member.unused_data.lstrip(b"\0")
                member, begun = isal_zlib.decompressobj(_GZIP_FORMAT), False
    if begun:
        raise DamagedError("it ends too early")
