"""How names, counts and errors are worded in a log line or an error line."""

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


def one_line(error: BaseException) -> str:
    """The text of an error on one line, or the name of its type if it has no text."""
    return " ".join(str(error).split()) or type(error).__name__


def did_you_mean(wnid: str, wnids: Iterable[str]) -> str:
    """As `; did you mean n01440764?`; empty if no WNID resembles the given one."""
    close = difflib.get_close_matches(str(wnid)[:20], wnids, n=3, cutoff=0.75)
    return f"; did you mean {' or '.join(close)}?" if close else ""
