"""How files get where they belong: under its final name a file is always complete.

Errors are the file system's own (OSError): the caller knows what the file was for, and says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PART = ".part"  # ends the names of files that are not complete


def part_of(path: Path) -> Path:
    """A temporary name beside `path`; no two writers get the same, on whatever machines they are."""
    return path.with_name(f".{path.name}.{os.urandom(6).hex()}{PART}")


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
    """Write all of a file."""
    with whole(path) as part:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
        finally:
            os.close(descriptor)
