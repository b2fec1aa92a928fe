"""Names of temporary files, and the status of files."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import NamedTuple

_OURS, _NUMBERS = os.urandom(6).hex(), itertools.count()  # no call of the system for each name


PART = ".part"  # ends the names of files that are not complete


def temp_path(path: Path) -> Path:
    """A temporary file beside `path`."""
    return path.with_name(part_name(path.name))


def part_name(name: str) -> str:
    """A temporary name; no two writers get the same, on whatever machines they are."""
    return f".{name}.{_OURS}-{os.getpid()}-{next(_NUMBERS)}{PART}"


class Status(NamedTuple):
    """A file as it stands now."""

    name: str  # absolute path or URL
    size: int
    stamp: int  # changes with the file: modification time in ns, or a digest of an object's etag
