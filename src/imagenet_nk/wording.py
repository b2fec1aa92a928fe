"""How names and counts are worded in a line: the first few of many, one class, two classes."""

from __future__ import annotations

from collections.abc import Sequence


def plural(count: int, one: str, many: str = "") -> str:
    """As 1 image, 2 images."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def percent(share: float, digits: int = 1) -> str:
    """As 97.5 %."""
    return f"{100 * share:.{digits}f} %"


def first_few(names: Sequence[object], most: int = 5) -> str:
    """The first few, and `...` if there are more: `a, b, ...`."""
    return ", ".join(str(name) for name in names[:most]) + (", ..." if len(names) > most else "")


def counted(count: int, one: str, ending: str = "s") -> str:
    """As `1 image`, `2 images`."""
    return f"{count} {one}{ending * (count != 1)}"
