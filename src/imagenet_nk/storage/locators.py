"""Paths as text in tables, whatever bytes they hold."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes


def path_to_text(path: str) -> str:
    """The path itself, or a file: URI for one that is no text: ledger and manifest hold UTF-8 only."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return Path(path).as_uri()
    return path


def text_to_path(place: str) -> Path:
    """The inverse of to_place."""
    if place.startswith("file:///"):
        return Path(os.fsdecode(unquote_to_bytes(place.removeprefix("file://"))))
    return Path(place)
