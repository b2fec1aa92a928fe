"""The index dictionary, `{0: 'tench, Tinca tinca', 1: ...}`, and the same as JSON, parsed without evaluating it.

A value is a name, a WNID, or a pair (wnid, name) as in imagenet_class_index.json; an index may be a string of digits.

A name does not identify a class ('crane' is 134 and 517). So names are first compared with the sorted order: if every
name fits the class at its index in the sorted table, that is the order. Otherwise each name must stand for exactly one
class of the table.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from imagenet_nk.classes.label_lines import LabelLine, line_error, require_no_gap
from imagenet_nk.classes.table import ClassTable
from imagenet_nk.errors import LabelError

MAX_CHARACTERS = 2 * 2**20  # 21,841 classes with names take 1 MB; parsing takes up to 500 bytes of memory a character
_INDEX = re.compile(r"[0-9]{1,9}")
_WNID = re.compile(r"n[0-9]{8}")


@dataclass(frozen=True, slots=True)
class _Entry:
    line: int
    index: int
    wnid: str  # "" if the file gives only a name
    name: str

    @property
    def text(self) -> str:
        return f"{self.index}: {(self.wnid, self.name) if self.wnid else self.name!r}"


def parse(text: str, table: ClassTable, where: str) -> list[LabelLine]:
    """The entries in file order. Raises LabelError with the number of the first bad line."""
    entries = _parse_entries(text, where)
    require_no_gap([LabelLine(entry.line, entry.text, entry.index, "") for entry in entries], where)
    unnamed = [entry for entry in entries if not entry.wnid]
    wnid_of = _match_names(unnamed, min(entry.index for entry in entries), table, where) if unnamed else {}
    return [LabelLine(entry.line, entry.text, entry.index, entry.wnid or wnid_of[entry.index]) for entry in entries]


def _parse_entries(text: str, where: str) -> list[_Entry]:
    if len(text) > MAX_CHARACTERS:
        raise LabelError(f"{where} is no index dictionary: it has more than {MAX_CHARACTERS // 2**20} MB")
    source = text.lstrip()
    lines_before = text.count("\n", 0, len(text) - len(source))
    try:
        tree = ast.parse(source, mode="eval").body
    except SyntaxError as error:
        line = (error.lineno or 1) + lines_before
        raise line_error(where, line, _text_of(text, line), f"is no index dictionary ({error.msg})") from error
    except (ValueError, MemoryError, RecursionError) as error:  # NUL, lone surrogates, deep nesting
        raise LabelError(f"{where} is no index dictionary ({error or type(error).__name__})") from error
    if not isinstance(tree, ast.Dict):
        raise LabelError(f"{where} is no index dictionary such as {{0: 'tench, Tinca tinca', ...}}")
    entries = []
    for key, value in zip(tree.keys, tree.values, strict=True):
        line = (key or value).lineno + lines_before
        if (entry := _to_entry(key, value, line)) is None:
            raise line_error(where, line, _text_of(text, line), "is no entry such as 0: 'tench, Tinca tinca'")
        entries.append(entry)
    return entries


def _text_of(text: str, line: int) -> str:
    return "".join(text.split("\n")[line - 1 : line]).strip()


def _to_entry(key: ast.expr | None, value: ast.expr, line: int) -> _Entry | None:
    index = str(key.value) if isinstance(key, ast.Constant) and type(key.value) in (int, str) else ""
    strings = _strings(value)
    if not _INDEX.fullmatch(index) or not strings:
        return None
    *wnid, name = strings
    return _Entry(line, int(index), wnid[0] if wnid else name if _WNID.fullmatch(name) else "", name)


def _strings(value: ast.expr) -> list[str]:
    """[name] or [WNID, name]; empty if the value is neither."""
    items = value.elts if isinstance(value, ast.List | ast.Tuple) and len(value.elts) == 2 else [value]
    strings = [item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    return strings if len(strings) == len(items) else []


def _match_names(entries: Sequence[_Entry], base: int, table: ClassTable, where: str) -> dict[int, str]:
    """{index: wnid} for entries that have only a name; `base` is the lowest index of the file."""
    names = NameLookup(table)
    for entry in entries:
        if not names.classes(entry.name):
            raise line_error(where, entry.line, entry.text, f"no class of {table.name} has this name")
    sorted_order = {e.index: table.wnids[e.index - base] for e in entries if e.index - base < len(table.wnids)}
    unsorted = next((e for e in entries if sorted_order.get(e.index) not in names.classes(e.name)), None)
    if unsorted is None:
        return sorted_order
    _require_unambiguous(entries, names, unsorted, where)
    return {entry.index: names.classes(entry.name)[0] for entry in entries}


def _require_unambiguous(entries: Sequence[_Entry], names: NameLookup, unsorted: _Entry, where: str) -> None:
    """Raise LabelError for a name that occurs twice, and for one that stands for several classes."""
    hint = f"add WNIDs, for the entries are not in sorted order from line {unsorted.line} on"
    first_with: dict[str, _Entry] = {}
    for entry in entries:
        first = first_with.setdefault(_normalize(entry.name), entry)
        if first is not entry:
            message = f"index {first.index} (line {first.line}) has the same name; {hint}"
            raise line_error(where, entry.line, entry.text, message)
    for entry in entries:
        if len(wnids := names.classes(entry.name)) > 1:
            message = f"the name stands for {' and '.join(wnids[:3])}; {hint}"
            raise line_error(where, entry.line, entry.text, message)


class NameLookup:
    """Which classes of a table a name can stand for."""

    def __init__(self, table: ClassTable) -> None:
        self._by_all_words: dict[str, list[str]] = defaultdict(list)
        self._by_first_word: dict[str, list[str]] = defaultdict(list)
        self._by_any_word: dict[str, list[str]] = defaultdict(list)
        for wnid in table.wnids:
            words = _normalize(table.words.get(wnid, "")).split(", ")
            self._by_all_words[", ".join(words)].append(wnid)
            self._by_first_word[words[0]].append(wnid)
            for word in dict.fromkeys(words):
                self._by_any_word[word].append(wnid)

    def classes(self, name: str) -> Sequence[str]:
        """Classes with exactly these words; else those whose first word, else any word, is the first of the name."""
        words = _normalize(name)
        first = words.split(", ")[0]
        if not words:
            return ()
        return self._by_all_words.get(words) or self._by_first_word.get(first) or self._by_any_word.get(first, [])


def _normalize(name: str) -> str:
    """'kit fox, vulpes macrotis' of 'Kit_fox,Vulpes macrotis'."""
    return ", ".join(" ".join(word.replace("_", " ").split()).lower() for word in name.split(",") if word.strip())
