"""Paths as text in tables, including those that are not valid UTF-8."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes


def path_to_text(path: str) -> str:
    """The path itself, or a file: URI if it is not UTF-8: ledger and manifest hold UTF-8 only."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return Path(path).as_uri()
    return path


def text_to_path(place: str) -> Path:
    """The inverse of path_to_text()."""
    if place.startswith("file:///"):
        return Path(os.fsdecode(unquote_to_bytes(place.removeprefix("file://"))))
    return Path(place)
