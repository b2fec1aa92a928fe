"""Reading an image by its address: a path, `<tar>#bytes=<first>-<last>`, or an entry of a zip."""

from __future__ import annotations

from pathlib import Path

from imagenet_nk.sources.local.folders import read_file
from imagenet_nk.sources.local.tars import is_range, read_range
from imagenet_nk.sources.local.zips import is_zip_entry, read_zip_entry
from imagenet_nk.storage.locators import text_to_path


def read(address: str) -> tuple[bytes, Path | None]:
    """The bytes, and the file that holds exactly these. Raises OSError."""
    path = text_to_path(address)
    if "#" in address and not path.is_file():  # a file may be called so
        if is_range(address):
            return read_range(address), None
        if is_zip_entry(address):
            return read_zip_entry(address), None
    return read_file(path), path
