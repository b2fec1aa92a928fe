"""List files: train.txt and eval.txt, one (path, label) entry a line, in the two forms of design section 5.

    images/n01440764/n01440764_10026.jpg 0        separator " ": split at the last space, so a path may hold spaces
    images/n01440764/n01440764_10026.jpg,0        separator ",": RFC 4180 rows under the header path,label

UTF-8, lines end in \\n, paths are relative to the list file. A reader tells the forms apart by the header.

Not read with pyarrow.csv, which is as fast for the first form and twice as fast for the second: it takes empty lines,
labels between spaces and negative ones, joins quoted lines, and its errors do not name the line.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path

from imagenet_nk.errors import ListError
from imagenet_nk.formats.numbers import parse_number
from imagenet_nk.storage import files

HEADER = "path,label"
MAX_DIGITS = 9  # of a label: it must fit an int32
_NOT_IN_PATHS = "\n\r\0"


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of a list file."""

    path: str  # relative to the list file, or absolute; parts joined with /
    label: int  # >= 0


def can_hold(path: str) -> bool:
    """Whether a list file can hold a path: it is Unicode, in one line."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return _is_one_line(path)


def write_list(path: Path, entries: Iterable[Entry], separator: str = " ") -> None:
    """Write the entries in the order given; under its final name the file is always complete.

    Raises ListError for an entry that no line can hold, and when the file cannot be written.
    """
    try:
        with files.atomic_write(path) as part, part.open("w", encoding="utf-8", newline="") as file:
            _write(file, entries, separator)
            file.flush()
            os.fsync(file.fileno())
    except files.io_errors() as error:
        raise ListError(f"cannot write {path}: {_cause(error)}") from error
    except UnicodeEncodeError as error:
        raise ListError(f"cannot write {path}: a path in it is not Unicode; rename the file") from error


def read_list(path: Path | str) -> list[Entry]:
    """All entries of a list file of either form. Raises ListError with file and line of the first bad line."""
    try:
        with TextIOWrapper(files.open_regular(files.resolve(path)), encoding="utf-8-sig", newline="\n") as file:
            entries = list(_read(file, path))
    except files.io_errors() as error:
        raise ListError(f"cannot read the list {path}: {_cause(error)}") from error
    except UnicodeDecodeError as error:
        raise ListError(
            f"{path} is not UTF-8 (byte {error.object[error.start]:#04x}); save the list as UTF-8"
        ) from error
    if not entries:
        raise ListError(
            f"the list {path} has no entry: collect first (stages=[collect,lists]), or see classes.csv for the reasons"
        )
    return entries


def read_paths(path: Path | str) -> list[Path]:
    """The images of a file of paths, one a line, or of a list file without its labels; relative to that file.

    Raises ListError.
    """
    try:
        return [resolve(path, entry) for entry in read_list(path)]
    except ListError:
        pass  # no list with labels
    try:
        lines = files.read_regular(files.resolve(path)).decode("utf-8-sig").splitlines()
    except files.io_errors() as error:
        raise ListError(f"cannot read the list {path}: {_cause(error)}") from error
    except UnicodeDecodeError as error:
        raise ListError(f"{path} is not UTF-8; save the list as UTF-8") from error
    images = [resolve(path, Entry(line, 0)) for line in lines if line.strip()]
    if not images:
        raise ListError(f"the list {path} has no entry; it needs the path of an image in each line")
    return images


def resolve(list_path: Path | str, entry: Entry) -> Path:
    """Where the entry's image is: relative to the folder of the list file, or as it stands if absolute."""
    path = Path(entry.path)
    return path if path.is_absolute() else files.resolve(list_path).parent / entry.path


def sha256(path: Path | str) -> str:
    """Hexadecimal SHA-256 of a list file's bytes. Raises ListError if it cannot be read."""
    try:
        return files.sha256(files.resolve(path))
    except files.io_errors() as error:
        raise ListError(f"cannot read the list {path}: {_cause(error)}") from error


def _write(file: io.TextIOBase, entries: Iterable[Entry], separator: str) -> None:
    rows = ((entry.path, entry.label) for entry in entries if _check(entry))
    if separator == " ":
        file.writelines(f"{path} {label}\n" for path, label in rows)
        return
    file.write(f"{HEADER}\n")
    csv.writer(file, lineterminator="\n").writerows(rows)


def _read(file: Iterable[str], path: Path | str) -> Iterator[Entry]:
    number, parse = 0, _parse_spaced
    try:
        for number, line in enumerate(file, start=1):
            text = line.removesuffix("\n").removesuffix("\r")
            if number == 1 and text == HEADER:
                parse = _parse_comma_row
            else:
                yield parse(text)
    except ListError as error:
        raise ListError(f"{path}:{number}: {error}") from error


def _parse_spaced(line: str) -> Entry:
    path, space, label = line.rpartition(" ")
    if not line.strip():
        raise ListError("the line is blank; remove it: a line is a path, one space and a label")
    if not space:
        raise ListError(f"no label in {_quoted(line)}; a line is a path, one space and a label")
    return _make_entry(path, label)


def _parse_comma_row(line: str) -> Entry:
    try:
        row = next(csv.reader([line], strict=True), [])
    except csv.Error as error:
        raise ListError(f"not a comma row: {error}") from error
    if len(row) != 2:
        raise ListError(f"{len(row)} columns; a row is path,label, with quotes around a path that has a comma")
    return _make_entry(*row)


def _make_entry(path: str, label: str) -> Entry:
    if (number := parse_number(label, most=10**MAX_DIGITS - 1)) is None:
        raise ListError(f"the label {_quoted(label)} is not a whole number from 0 to {10**MAX_DIGITS - 1}")
    entry = Entry(path, number)
    _check(entry)
    return entry


def _check(entry: Entry) -> bool:
    """True; raises ListError for an entry that no line can hold."""
    if not _is_one_line(entry.path):
        raise ListError(f"the path {_quoted(entry.path)} cannot stand in a list; rename the file, without line breaks")
    if not 0 <= entry.label < 10**MAX_DIGITS:
        raise ListError(f"the label {entry.label} of {_quoted(entry.path)} is not from 0 to {10**MAX_DIGITS - 1}")
    return True


def _is_one_line(path: str) -> bool:
    """Whether a path is not empty, has no line break, and does not begin with a byte-order mark."""
    if not path or path[0] == "\ufeff":
        return False
    return path.isprintable() or not any(mark in path for mark in _NOT_IN_PATHS)


def _cause(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
