"""What a data set came to, added up a class at a time out of the rows of the ledger."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from imagenet_nk.dataset import class_table
from imagenet_nk.dataset.ledger import KEPT, UNREACHED
from imagenet_nk.dataset.table_rows import DETAIL, PIXELS, RANK, SOURCE, TRANSIENT, Rows, TableContext
from imagenet_nk.reasons import Reason


@dataclass(frozen=True)
class Summary:
    """What a data set came to."""

    classes: int
    kept: int
    tried: int  # candidates that the draw order reached
    short: tuple[str, ...]  # WNIDs of the classes with fewer images than wanted
    reasons: Mapping[str, int]
    sources: Mapping[str, int]  # kept images by the source that gave them
    shared: int  # kept images whose pixels stand in another class as well
    passing: Mapping[str, int] = field(default_factory=dict)  # of `reasons`, what failed only for now
    missing: tuple[str, ...] = ()  # image ids that are wanted by name and could not be fetched
    forbidden: Mapping[str, int] = field(default_factory=dict)  # what it was, of the reason of that name


class SummaryBuilder:
    """Grows by one class after the other, in the order of the label map."""

    def __init__(self, tables: TableContext) -> None:
        self._tables = tables
        self._classes: list[class_table.Row] = []
        self.missing: list[dict[str, object]] = []  # rows of missing.csv
        self._sources: Counter[str] = Counter()
        self._passing: Counter[str] = Counter()
        self._forbidden: Counter[str] = Counter()
        self._pixels = [np.empty(0, np.int64)]  # of each class's kept images, each once

    def add(self, position: int, rows: Rows, verdicts: Sequence[str]) -> Rows:
        """Count a class by what became of each row; returns the rows of its kept images."""
        kept = [row for row, verdict in zip(rows, verdicts, strict=True) if verdict == KEPT]
        self._sources.update(row[SOURCE] for row in kept)
        self._pixels.append(np.array(list({row[PIXELS] for row in kept}), np.int64))
        reasons = _reasons(verdicts)
        if Reason.FORBIDDEN in reasons:
            self._forbidden.update(
                row[DETAIL] for row, verdict in zip(rows, verdicts, strict=True) if verdict == Reason.FORBIDDEN
            )
        lacking = {row[RANK] for row, verdict in zip(rows, verdicts, strict=True) if verdict == Reason.UNLISTED}
        lacks = bool(lacking) and max(lacking) >= max((row[RANK] for row in kept), default=0)
        self._passing += _reasons(itertools.compress(verdicts, [row[TRANSIENT] for row in rows]))
        self._classes.append(self._tables.class_row(position, len(kept), reasons, lacks=lacks))
        return kept

    def table(self) -> pd.DataFrame:
        """classes.csv."""
        return class_table.classes(self._classes)

    def summary(self, table: pd.DataFrame) -> Summary:
        """Of the classes so far, of which `table` is the table."""
        reasons = sum((row.reasons for row in self._classes), Counter[str]())
        counts = np.unique(np.concatenate(self._pixels), return_counts=True)[1]
        return Summary(
            classes=len(table),
            kept=self._sources.total(),
            tried=int(table["tried"].sum()),
            short=tuple(table.loc[table["kept"] < table["wanted"], "wnid"]),
            reasons=dict(reasons.most_common()),
            sources=dict(self._sources),
            shared=int(counts[counts > 1].sum()),
            passing=dict(self._passing.most_common()),
            missing=tuple(str(row["image_id"]) for row in self.missing),
            forbidden=self._forbidden,
        )


def _reasons(verdicts: Iterable[str]) -> Counter[str]:
    """How often each reason stands among verdicts."""
    counted = Counter(verdicts)
    for other in (KEPT, UNREACHED, ""):
        counted.pop(other, None)
    return counted
