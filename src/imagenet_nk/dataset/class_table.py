"""Tables that a user reads: classes.csv, one row a class, and missing.csv."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from imagenet_nk.dataset.ledger import FinalAttempt
from imagenet_nk.errors import DatasetError
from imagenet_nk.storage.files import atomic_write, open_regular
from imagenet_nk.wording import one_line

_MISSING_COLUMNS = ["image_id", "wnid", "url", "reason", "detail"]
_CLASS_COLUMNS = ["label", "wnid", "name", "wanted", "kept", "tried"]


@dataclass(frozen=True)
class ClassRow:
    """A class in classes.csv."""

    fixed: dict[str, object]  # _CLASS_COLUMNS
    reasons: Counter[str]  # rejected candidates
    about: dict[str, object]  # what the class is: columns behind the reasons


def class_frame(rows: Sequence[ClassRow]) -> pd.DataFrame:
    """One row a class: the fixed columns, one a rejection reason, most frequent first, and what the class is."""
    total: Counter[str] = sum((row.reasons for row in rows), Counter())
    order = sorted(total, key=lambda reason: (-total[reason], reason))
    records = [{**row.fixed, **{reason: row.reasons[reason] for reason in order}, **row.about} for row in rows]
    return pd.DataFrame(records, columns=None if records else _CLASS_COLUMNS)


def missing_images(attempts: Iterable[FinalAttempt], kept: Mapping[str, str]) -> list[dict[str, object]]:
    """Rows of missing.csv: images of a class that a list or manifest names and that could not be fetched.

    `kept`: SHA-256 by image id. A fallback makes up for an image by the same id, if it has the same bytes where a
    manifest says which.
    """
    rows: list[dict[str, object]] = []
    for attempt in attempts:
        if attempt.rank or not attempt.reason:
            continue
        replacement = kept.get(attempt.key)
        if replacement is not None and attempt.sha256 in ("", replacement):
            continue
        note = "" if replacement is None else "the fallback gave another image of this name"
        detail = "; ".join(filter(None, (attempt.detail, note)))
        values = attempt.key, attempt.wnid, attempt.url, attempt.reason, detail
        rows.append(dict(zip(_MISSING_COLUMNS, values, strict=True)))
    return rows


def write_missing(rows: Sequence[dict[str, object]], path: Path) -> None:
    """Write the table of missing images; without any, remove an older one."""
    if rows:
        write_csv(pd.DataFrame(rows, columns=_MISSING_COLUMNS), path)
    else:
        path.unlink(missing_ok=True)


def read_csv(path: Path) -> pd.DataFrame:
    """A table as write_csv() leaves it. Raises DatasetError if it cannot be read."""
    try:
        with open_regular(path) as file:
            return pd.read_csv(file, keep_default_na=False)
    except (OSError, ValueError) as error:  # ValueError: empty, cut within quotes, no UTF-8
        raise DatasetError(
            f"{path} cannot be read ({one_line(error)[:120]}): the stage collect writes it anew, stages=[collect,lists]"
        ) from error


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table, complete or not at all."""
    with atomic_write(path) as part:
        frame.to_csv(part, index=False, lineterminator="\n")
