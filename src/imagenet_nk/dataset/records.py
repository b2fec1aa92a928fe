"""What earlier runs settled of a class, as far as that is still so: rows of the ledger against files on the disk."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from imagenet_nk.config import Retry
from imagenet_nk.dataset.ledger import KEPT, unsigned
from imagenet_nk.formats.magic import EXTENSIONS
from imagenet_nk.reasons import Reason
from imagenet_nk.storage.locators import text_to_path


@dataclass(frozen=True, slots=True)
class CandidateRecord:
    """What one candidate came to, by itself; other candidates and classes play no part in it."""

    key: str
    image_id: str = ""
    reason: str = ""  # why it is rejected; "" = a valid image
    url: str = ""
    file: str = ""  # name under images/<wnid>/
    content: int = 0  # first 64 bits of the bytes' sha256
    pixels: int = 0
    look: int = 0
    source: str = ""  # with rank: two sources may well have an image under one key
    rank: int = 0


Row = sqlite3.Row | Mapping[str, Any]  # of the ledger


def fact_of(row: Row) -> CandidateRecord:
    """The same from a row of an earlier run."""
    source, rank = row["source"], row["rank"]
    if row["reason"]:
        return CandidateRecord(row["key"], row["image_id"], row["reason"], row["url"], source=source, rank=rank)
    hashes = content_hash(row["sha256"]), unsigned(row["pixels"]), unsigned(row["look"])
    return CandidateRecord(row["key"], row["image_id"], "", row["url"], file_of(row), *hashes, source, rank)


def file_of(row: Row) -> str:
    """Name under images/<wnid>/ of a valid image."""
    return file_name(row["image_id"], row["format"])


def file_name(image_id: str, kind: str) -> str:
    """The same from the two columns that say it."""
    return f"{image_id}.{EXTENSIONS[kind]}"


def content_hash(sha256: str) -> int:
    return int(sha256[:16], 16)


# Refused without a download, under settings http.* that may be others by now.
_BY_SETTING = frozenset({Reason.FORBIDDEN, Reason.OPT_OUT, Reason.ROBOTS})


def known(
    rows: Iterable[Row], sizes: Mapping[str, int], retry: Retry, since: float = math.inf
) -> dict[tuple[str, int, str], CandidateRecord]:
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
    return text_to_path(row["path"]).is_file() if row["path"] else sizes.get(file_of(row)) == row["bytes"]


def lost(rows: Iterable[Row], sizes: Mapping[str, int], since: float = math.inf) -> int:
    """How many images of a class that runs before `since` kept, or were about to, are not there any more."""
    kept = (row for row in rows if not row["reason"] and row["verdict"] in (KEPT, "") and row["id"] <= since)
    return sum(not is_there(row, sizes) for row in kept)
