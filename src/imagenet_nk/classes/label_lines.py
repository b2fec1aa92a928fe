"""One numbered class of a label file, and what a whole file of them must keep to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imagenet_nk.classes.table import ClassTable
from imagenet_nk.errors import LabelError

SHOWN = 80  # characters of a wrong line


@dataclass(frozen=True, slots=True)
class LabelLine:
    """A class, its label, and the line that says so."""

    line: int  # from 1
    text: str
    label: int
    wnid: str


def line_error(where: str, line: int, text: str, message: str) -> LabelError:
    """The error for one line of a file: its number, what is wrong with it, and how it reads."""
    excerpt = text if len(text) <= SHOWN else text[:SHOWN] + "..."
    return LabelError(f"{where}, line {line}: {message}: {excerpt!r}")


def require_unique(entries: Sequence[LabelLine], where: str) -> Sequence[LabelLine]:
    """The entries, if there are any and no WNID comes twice."""
    if not entries:
        raise LabelError(f"{where} names no class: it needs lines that start with a WNID, or an index dictionary")
    lines: dict[str, int] = {}
    for entry in entries:
        if entry.wnid in lines:
            raise line_error(where, entry.line, entry.text, f"{entry.wnid} stands on line {lines[entry.wnid]} already")
        lines[entry.wnid] = entry.line
    return entries


def validate(entries: Sequence[LabelLine], table: ClassTable, where: str) -> Sequence[LabelLine]:
    """The entries, if they are one order of classes of the table: nothing twice, no gap, numbers from 0 or 1."""
    table_wnids = frozenset(table.wnids)
    for entry in entries:
        if entry.wnid not in table_wnids:
            raise line_error(where, entry.line, entry.text, f"{entry.wnid} is no class of {table.name}")
    require_no_gap(require_unique(entries, where), where)
    return entries


def require_no_gap(entries: Sequence[LabelLine], where: str) -> None:
    """Raise LabelError unless the labels are 0, 1, 2, ... or 1, 2, 3, ... in any order of lines."""
    before: LabelLine | None = None
    for entry in sorted(entries, key=lambda entry: (entry.label, entry.line)):
        if before is None:
            if entry.label > 1:
                raise line_error(where, entry.line, entry.text, f"the lowest number is {entry.label}, not 0 or 1")
        elif entry.label == before.label:
            raise line_error(
                where, entry.line, entry.text, f"number {entry.label} stands on line {before.line} already"
            )
        elif entry.label > before.label + 1:
            raise line_error(
                where, entry.line, entry.text, f"number {before.label + 1} is missing before {entry.label}"
            )
        before = entry
