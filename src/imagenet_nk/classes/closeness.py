"""WNIDs that look like a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(wnid: str, wnids: Iterable[str]) -> str:
    """'; did you mean n01440764?', or nothing where no WNID resembles it."""
    close = difflib.get_close_matches(str(wnid)[:20], wnids, n=3, cutoff=0.75)
    return f"; did you mean {' or '.join(close)}?" if close else ""
