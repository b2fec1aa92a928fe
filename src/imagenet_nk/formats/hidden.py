"""Files that belong to a file system or to a desktop, not to the data set whose folder or archive they lie in."""

from __future__ import annotations

_MACOS = "__MACOSX"  # where macOS puts the AppleDouble files (`._x.jpg`) of a zip


def is_hidden(path: str) -> bool:
    """Whether a path within a folder or archive is hidden: `.x`, `._x.jpg`, or anything below such a folder."""
    if "." not in path and _MACOS not in path:
        return False
    return any(part == _MACOS or (part.startswith(".") and part not in (".", "..")) for part in path.split("/"))
