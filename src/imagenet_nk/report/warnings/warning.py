"""A warning of the report, and how it names classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from imagenet_nk.report.run_data import RunData

PROBLEM, WARNING, NOTE = "problem", "warning", "note"
_SHOWN = 5


@dataclass(frozen=True)
class ReportWarning:
    """One warning, problem or note of the page."""

    level: str
    title: str
    detail: str
    rows: Sequence[int] = field(default_factory=list)  # classes it is about

    @property
    def rank(self) -> int:
        return (PROBLEM, WARNING, NOTE).index(self.level)


def note(title: str, detail: str) -> ReportWarning:
    return ReportWarning(NOTE, title, detail)


def class_names(data: RunData, rows: Sequence[int]) -> str:
    """The first few classes, as crane (n02012849)."""
    table = data.classes
    names = ", ".join(f"{table['name'][row]} ({table['wnid'][row]})" for row in rows[:_SHOWN])
    return names + (f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else "")
