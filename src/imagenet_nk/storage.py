"""How files get where they belong: under its final name a file is always complete.

Errors are the file system's own (OSError): the caller knows what the file was for, and says so.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_OURS, _NUMBERS = os.urandom(6).hex(), itertools.count()  # no call of the system for each name
PART = ".part"  # ends the names of files that are not complete


def part_of(path: Path) -> Path:
    """A temporary name beside `path`; no two writers get the same, on whatever machines they are."""
    return path.with_name(f".{path.name}.{_OURS}-{os.getpid()}-{next(_NUMBERS)}{PART}")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """The name of a temporary file to write within the block; it becomes `path` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
    try:
        yield part
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write all of a file. The way of every image: no more calls of the system than it takes."""
    part = part_of(path)
    try:
        try:
            _write(part, data)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(part, data)
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)
