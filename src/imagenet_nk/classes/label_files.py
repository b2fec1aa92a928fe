"""Label files that people have, in three forms told apart by content; a file that contradicts itself is refused.

- lines of `wnid number name` (map_clsloc.txt): the label is the number; numbers run from 0 or 1 without a gap;
- lines that start with a WNID (a plain list, or LOC_synset_mapping.txt with names after it): the label is the number
  of WNIDs above it;
- an index dictionary, `{0: 'tench, Tinca tinca', ...}`: see index_dictionary.

In the line forms blank lines and lines that start with # count for nothing.
"""

from __future__ import annotations

import re
from pathlib import Path

from imagenet_nk.classes import index_dictionary
from imagenet_nk.classes.label_lines import LabelLine, line_error, require_unique, validate
from imagenet_nk.classes.table import ClassTable
from imagenet_nk.errors import LabelError
from imagenet_nk.storage.files import open_regular

MAX_BYTES = 8 * 2**20  # a map of all 21,841 synsets with names takes 1 MB
_LINE = re.compile(r"(n[0-9]{8})(?:\s+([0-9]{1,9})(?!\S))?(?!\S)")


def read_numbers(path: Path, table: ClassTable) -> dict[str, int]:
    """{wnid: label} of a label file in any form. Raises LabelError with the number of the line that is wrong."""
    return parse_numbers(_text(path), table, str(path))


def read_wnids(path: Path) -> tuple[str, ...]:
    """The WNIDs at the start of the lines of a file. Raises LabelError with the number of the line that is wrong."""
    where = str(path)
    return tuple(entry.wnid for entry in require_unique(_line_entries(_text(path), where), where))


def parse_numbers(text: str, table: ClassTable, where: str) -> dict[str, int]:
    """read_numbers() of the text of a file; `where` names it in errors."""
    if text.lstrip().startswith("{"):
        entries = index_dictionary.parse(text, table, where)
    else:
        entries = _line_entries(text, where)
    return {entry.wnid: entry.label for entry in validate(entries, table, where)}


def _line_entries(text: str, where: str) -> list[LabelLine]:
    entries: list[LabelLine] = []
    has_numbers: bool | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        match = _LINE.match(content)
        if match is None:
            raise line_error(where, number, content, "must start with a WNID (n and eight digits)")
        if has_numbers is None:
            has_numbers = match[2] is not None
        if has_numbers != (match[2] is not None):
            raise line_error(where, number, content, f"must be `wnid{' number' * has_numbers}` like the lines above it")
        entries.append(LabelLine(number, content, int(match[2]) if has_numbers else len(entries), match[1]))
    return entries


def _text(path: Path) -> str:
    try:
        with open_regular(path) as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LabelError(
            f"{path} cannot be read ({reason}); name a file with labels.path= or classes.wnids="
        ) from error
    if len(data) > MAX_BYTES:
        raise LabelError(f"{path} is no label file: it has more than {MAX_BYTES // 2**20} MB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise LabelError(f"{path}, line {line}: not UTF-8 text; save the file as UTF-8") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")
