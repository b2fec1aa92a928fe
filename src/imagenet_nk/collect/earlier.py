"""What earlier runs settled of a class, as far as that is still so: rows of the ledger against files on the disk."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from imagenet_nk.collect.attempts import Row, fact_of, file_of
from imagenet_nk.collect.fill import Fact
from imagenet_nk.collect.ledger import KEPT
from imagenet_nk.config import Retry
from imagenet_nk.sources.folders import to_path

_BY_SETTING = frozenset({"forbidden", "opt_out", "robots"})  # it cost little, and http.* may have changed since


def known(
    rows: Iterable[Row], sizes: Mapping[str, int], retry: Retry, since: float = math.inf
) -> dict[tuple[str, int, str], Fact]:
    """Facts by (source, rank, key) out of settled rows of a class: all but what is to be asked again.

    `sizes`: bytes of the class's files by name. `since`: rows with a higher id are of this very run, which asks nothing
    twice.
    """
    facts = {}
    for row in rows:
        if not row["reason"]:
            true = is_there(row, sizes)
        elif row["reason"] in _BY_SETTING:
            true = row["id"] > since
        else:
            passing = retry == Retry.failed or (retry == Retry.transient and row["transient"])
            true = row["id"] > since or not passing
        if true:
            facts[row["source"], row["rank"], row["key"]] = fact_of(row)
    return facts


def is_there(row: Row, sizes: Mapping[str, int]) -> bool:
    """Whether the file of a valid image is in its place, and whole."""
    return to_path(row["path"]).is_file() if row["path"] else sizes.get(file_of(row)) == row["bytes"]


def lost(rows: Iterable[Row], sizes: Mapping[str, int], since: float = math.inf) -> int:
    """How many images of a class that runs before `since` kept, or were about to, are not there any more."""
    kept = (row for row in rows if not row["reason"] and row["verdict"] in (KEPT, "") and row["id"] <= since)
    return sum(not is_there(row, sizes) for row in kept)
