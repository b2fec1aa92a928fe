"""What a data set holds, added up class by class from the rows of its ledger."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from imagenet_nk.classes.label_map import LabelMap
from imagenet_nk.config.sources import Materialize
from imagenet_nk.dataset.class_table import ClassRow, class_frame
from imagenet_nk.dataset.folder_state import Target
from imagenet_nk.dataset.ledger import KEPT, UNREACHED, FinalAttempt
from imagenet_nk.reasons import Reason
from imagenet_nk.sampling.draw_order import Split


@dataclass(frozen=True)
class TableContext:
    """What the tables of a data set say beside what the ledger knows."""

    label_map: LabelMap
    target_of: Target
    split: Split
    materialize: Mapping[str, Materialize]  # by source


@dataclass(frozen=True)
class Summary:
    """What a data set holds, and what was rejected for it."""

    classes: int
    kept: int
    tried: int  # candidates that the draw order reached
    short: tuple[str, ...]  # WNIDs of the classes with fewer images than wanted
    reasons: Mapping[str, int]
    sources: Mapping[str, int]  # kept images by the source that gave them
    shared: int  # kept images whose pixels are in another class as well
    transient: Mapping[str, int] = field(default_factory=dict)  # those of `reasons` that may have passed another day
    missing: tuple[str, ...] = ()  # image ids that are wanted by name and could not be fetched
    forbidden: Mapping[str, int] = field(default_factory=dict)  # details of the reason of that name


class SummaryBuilder:
    """Takes one class after the other, in the order of the label map."""

    def __init__(self, context: TableContext) -> None:
        self._context = context
        self._classes: list[ClassRow] = []
        self.missing: list[dict[str, object]] = []  # rows of missing.csv
        self._sources: Counter[str] = Counter()
        self._transient: Counter[str] = Counter()
        self._forbidden: Counter[str] = Counter()
        self._pixels = [np.empty(0, np.int64)]  # hashes of each class's kept images, each once

    def add(self, position: int, attempts: Sequence[FinalAttempt], verdicts: Sequence[str]) -> list[FinalAttempt]:
        """Count a class by the verdict on each candidate; returns the attempts of its kept images."""
        kept = [attempt for attempt, verdict in zip(attempts, verdicts, strict=True) if verdict == KEPT]
        self._sources.update(attempt.source for attempt in kept)
        self._pixels.append(np.array(list({attempt.pixels for attempt in kept}), np.int64))
        reasons = _count_reasons(verdicts)
        self._transient += _count_reasons(itertools.compress(verdicts, [row.transient for row in attempts]))
        if Reason.FORBIDDEN in reasons:
            self._forbidden.update(row.detail for row in _with_verdict(Reason.FORBIDDEN, attempts, verdicts))
        unlisted = max((row.rank for row in _with_verdict(Reason.UNLISTED, attempts, verdicts)), default=-1)
        is_partial = unlisted >= max((attempt.rank for attempt in kept), default=0)
        self._classes.append(self._class_row(position, len(kept), reasons, is_partial=is_partial))
        return kept

    def _class_row(self, position: int, kept: int, reasons: Counter[str], *, is_partial: bool) -> ClassRow:
        """A row of classes.csv. `is_partial`: images could not be listed, and no fallback made up for them."""
        label_map = self._context.label_map
        wanted = self._context.target_of(label_map.wnids[position])
        if wanted is None:  # all that there are: one more than are kept, where those are not all
            wanted = kept + (is_partial or not kept)
        fixed = {
            "label": label_map.labels[position],
            "wnid": label_map.wnids[position],
            "name": label_map.names[position],
            "wanted": wanted,
            "kept": kept,
            "tried": kept + reasons.total(),
        }
        return ClassRow(fixed, reasons, {"words": label_map.words[position], "gloss": label_map.glosses[position]})

    def class_frame(self) -> pd.DataFrame:
        """classes.csv."""
        return class_frame(self._classes)

    def summary(self, classes: pd.DataFrame) -> Summary:
        """Of the classes so far, of which `classes` is the table."""
        reasons = sum((row.reasons for row in self._classes), Counter[str]())
        counts = np.unique(np.concatenate(self._pixels), return_counts=True)[1]
        return Summary(
            classes=len(classes),
            kept=self._sources.total(),
            tried=int(classes["tried"].sum()),
            short=tuple(classes.loc[classes["kept"] < classes["wanted"], "wnid"]),
            reasons=dict(reasons.most_common()),
            sources=dict(self._sources),
            shared=int(counts[counts > 1].sum()),
            transient=dict(self._transient.most_common()),
            missing=tuple(str(row["image_id"]) for row in self.missing),
            forbidden=self._forbidden,
        )


def _with_verdict(reason: str, attempts: Iterable[FinalAttempt], verdicts: Sequence[str]) -> Iterable[FinalAttempt]:
    return (attempt for attempt, verdict in zip(attempts, verdicts, strict=True) if verdict == reason)


def _count_reasons(verdicts: Iterable[str]) -> Counter[str]:
    """How often each reason occurs among verdicts."""
    counts = Counter(verdicts)
    for other in (KEPT, UNREACHED, ""):
        counts.pop(other, None)
    return counts
