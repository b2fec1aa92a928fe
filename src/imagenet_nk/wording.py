"""How names and counts are worded in a line: the first few of many, one class, two classes."""

from __future__ import annotations

from collections.abc import Sequence


def first_few(names: Sequence[object], most: int = 5) -> str:
    """The first few, and `...` if there are more: `a, b, ...`."""
    return ", ".join(str(name) for name in names[:most]) + (", ..." if len(names) > most else "")


def counted(count: int, one: str, ending: str = "s") -> str:
    """As `1 image`, `2 images`."""
    return f"{count} {one}{ending * (count != 1)}"
