"""The index dictionary, `{0: 'tench, Tinca tinca', 1: ...}`, and its JSON cousins, read without running any of it.

A value is a name, a WNID, or a pair (wnid, name) as in imagenet_class_index.json; an index may stand in quotes.

Names alone do not tell classes apart ('crane' is 134 and 517), so names are looked at in the order first: where every
name fits the class at its place in the sorted table, that is the order. In any other order each name must stand for
exactly one class of the table.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from imagenet_nk.classes.label_lines import LabelLine, line_error, require_no_gap
from imagenet_nk.classes.table import ClassTable

_STRING = r"""'(?:[^'\\\n]|\\[^\n])*'|"(?:[^"\\\n]|\\[^\n])*\""""
_ENTRY = re.compile(
    rf"""\s*(?P<quote>["']?)(?P<index>[0-9]{{1,9}})(?P=quote)\s*:\s*
    (?:(?P<name>{_STRING}) | [\[(]\s*(?P<wnid>{_STRING})\s*,\s*(?P<second>{_STRING})\s*[\])])\s*(?P<end>,|\}})""",
    re.VERBOSE,
)
_SPACE = re.compile(r"\s*")
_CLOSE = re.compile(r"\s*\}")
_WNID = re.compile(r"n[0-9]{8}")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)")


@dataclass(frozen=True, slots=True)
class _Named:
    line: int
    text: str
    index: int
    wnid: str  # "" where the name is all there is
    name: str


def parse(text: str, table: ClassTable, where: str) -> list[LabelLine]:
    """The entries in file order. Raises LabelError with the number of the line that is wrong."""
    entries = list(_scan(text, where))
    require_no_gap([LabelLine(entry.line, entry.text, entry.index, "") for entry in entries], where)
    nameless = [entry for entry in entries if not entry.wnid]
    found = _by_name(nameless, min(e.index for e in entries), table, where) if nameless else {}
    return [LabelLine(e.line, e.text, e.index, e.wnid or found[e.index]) for e in entries]


def _scan(text: str, where: str) -> Iterator[_Named]:
    position = text.index("{") + 1
    line, ended = text.count("\n", 0, position) + 1, False
    while not ended:
        match = _ENTRY.match(text, position) or _CLOSE.match(text, position)
        start = match.end() - len(match[0].lstrip()) if match else _space_end(text, position)
        line += text.count("\n", position, start)
        if match is None:
            problem = (
                "is no entry such as 0: 'tench, Tinca tinca'," if start < len(text) else "there is no } at the end"
            )
            raise line_error(where, line, _line_at(text, start), problem)
        if match.re is _ENTRY:
            yield _named(match, line)
        ended = match[0].endswith("}")
        line += text.count("\n", start, match.end())
        position = match.end()
    rest = _space_end(text, position)
    if rest < len(text):
        raise line_error(
            where, line + text.count("\n", position, rest), _line_at(text, rest), "stands after the closing }"
        )


def _named(match: re.Match[str], line: int) -> _Named:
    wnid = _unquoted(match["wnid"]) if match["wnid"] else ""
    name = _unquoted(match["second"] if match["wnid"] else match["name"])
    if not wnid and _WNID.fullmatch(name):
        wnid = name
    return _Named(line, match[0].strip().rstrip(",}"), int(match["index"]), wnid, name)


def _by_name(entries: Sequence[_Named], base: int, table: ClassTable, where: str) -> dict[int, str]:
    """{index: wnid} for entries that have a name alone; `base` is the lowest index of the file."""
    names = _Names(table)
    for entry in entries:
        if not names.classes(entry.name):
            raise line_error(where, entry.line, entry.text, f"no class of {table.name} has this name")
    places = {e.index: table.wnids[e.index - base] for e in entries if e.index - base < len(table.wnids)}
    stray = next((e for e in entries if places.get(e.index) not in names.classes(e.name)), None)
    if stray is None:
        return places
    _each_once(entries, stray, where)
    return {entry.index: _only(names.classes(entry.name), entry, stray, where) for entry in entries}


def _each_once(entries: Sequence[_Named], stray: _Named, where: str) -> None:
    seen: dict[str, _Named] = {}
    for entry in entries:
        first = seen.setdefault(_plain(entry.name), entry)
        if first is not entry:
            message = f"the name stands for index {first.index} too (line {first.line}), and is all there is"
            raise line_error(where, entry.line, entry.text, f"{message}; {_not_sorted(stray)}")


def _only(classes: Sequence[str], entry: _Named, stray: _Named, where: str) -> str:
    if len(classes) == 1:
        return classes[0]
    both = " and ".join(classes[:3])
    raise line_error(
        where, entry.line, entry.text, f"the name stands for {both}, and is all there is; {_not_sorted(stray)}"
    )


def _not_sorted(stray: _Named) -> str:
    return f"the order is not the sorted one from line {stray.line} on"


class _Names:
    """Which classes of a table a name can stand for."""

    def __init__(self, table: ClassTable) -> None:
        self._tiers: tuple[Mapping[str, list[str]], ...] = (defaultdict(list), defaultdict(list), defaultdict(list))
        whole, first, any_word = self._tiers
        for wnid in table.wnids:
            words = _plain(table.words.get(wnid, "")).split(", ")
            whole[", ".join(words)].append(wnid)
            first[words[0]].append(wnid)
            for word in dict.fromkeys(words):
                any_word[word].append(wnid)

    def classes(self, name: str) -> Sequence[str]:
        """Those whose words are the whole name; else those whose first word, else any word, is its first word."""
        plain = _plain(name)
        if not plain:
            return ()
        first = plain.split(", ")[0]
        for tier, key in zip(self._tiers, (plain, first, first), strict=True):
            if key in tier:
                return tier[key]
        return ()


def _plain(name: str) -> str:
    """'kit fox, vulpes macrotis' of 'Kit_fox,Vulpes macrotis'."""
    return ", ".join(" ".join(word.replace("_", " ").split()).lower() for word in name.split(",") if word.strip())


def _unquoted(literal: str) -> str:
    return _ESCAPE.sub(lambda m: chr(int(m[1][1:], 16)) if m[1][0] in "ux" and len(m[1]) > 1 else m[1], literal[1:-1])


def _space_end(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _line_at(text: str, position: int) -> str:
    return text[position : position + 200].split("\n", 1)[0]
