"""How names and counts are worded in a line: the first few of many, one class, two classes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


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


def did_you_mean(wnid: str, wnids: Iterable[str]) -> str:
    """As `; did you mean n01440764?`; empty if no WNID resembles the given one."""
    close = difflib.get_close_matches(str(wnid)[:20], wnids, n=3, cutoff=0.75)
    return f"; did you mean {' or '.join(close)}?" if close else ""
