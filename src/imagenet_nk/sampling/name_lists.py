"""Lists of image names in the forms that people have, told apart by their first line. Pure.

A line is a name, or a name and a label behind blanks, a TAB or a comma; a header names the columns. A name is a file
name or its stem, with or without folders of either slash. The class is the WNID in the name, its folder or a column;
numbers are only compared: one WNID has one label throughout. Those of Kaggle's train_cls.txt count lines.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from imagenet_nk.errors import ListError
from imagenet_nk.formats.magic import IMAGE_SUFFIXES
from imagenet_nk.formats.numbers import parse_number
from imagenet_nk.image_ids import image_id

MAX_LINE = 4096  # bytes; a longer one is no file name

ValClasses = Callable[[], Mapping[str, str]]  # WNID by the stem of a validation image, ILSVRC2012_val_00000001

_EXTENSION = f"(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))})"
_SUFFIX = re.compile(rf"{_EXTENSION}\Z", re.IGNORECASE)
_TWO_NAMES = re.compile(rf"{_EXTENSION}[\s,;]", re.IGNORECASE)
_WNID = re.compile(r"n[0-9]{8}(?![0-9])")
_CLASS = re.compile(r"(n[0-9]{8})(?:\s|\Z)")  # also of a PredictionString: the WNID, then boxes
_IMAGE_ID = re.compile(r"n[0-9]{8}(?:[A-Za-z0-9._-]|=[0-9A-F]{2}|=[0-9]+\Z)*\Z")  # as image_ids makes them
_OFFICIAL = re.compile(r"(n[0-9]{8}_[0-9]+|ILSVRC2012_val_[0-9]{8})_(n[0-9]{8})\Z")  # names on the hub
_VAL = re.compile(r"ILSVRC2012_val_[0-9]{8}\Z")
_LABELLED = re.compile(r"(.*\S)\s+([0-9]{1,18}|n[0-9]{8})\Z")
_NAME_COLUMNS = ("imageid", "filename", "path", "imagepath", "filepath", "imagename", "file", "image", "img", "name")
_CLASS_COLUMNS = ("wnid", "synset", "label", "class", "target", "labelid", "classid", "category", "predictionstring")
EXAMPLE = "wanted is a name such as n04235860_14959.JPEG, alone or with its label"


@dataclass(frozen=True, slots=True)
class NamedImage:
    """What one line says."""

    stem: str
    wnid: str  # "" = the line does not say
    label: int | None
    counts_lines: bool  # a stem in the form of train_cls.txt and val.txt of Kaggle, whose number counts lines


@dataclass(frozen=True, slots=True)
class _Columns:
    """Which fields of a line are what."""

    separator: str  # "" = one field a line
    count: int
    name: int = 0
    classes: tuple[int, ...] = (1,)


def parse(lines: Iterable[bytes], where: str, val_classes: ValClasses | None = None) -> dict[str, list[str]]:
    """WNID -> image ids in the order of their lines. Raises ListError with the number of the first bad line.

    `val_classes` is called if a validation image comes without its WNID.
    """
    columns: _Columns | None = None
    named: dict[str, tuple[int, NamedImage]] = {}
    table: Mapping[str, str] | None = None
    for number, line in enumerate(lines, start=1):
        try:
            text = _text(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
            if not text:
                continue
            if columns is None:
                columns = _header(text)
                if columns:
                    continue
                columns = _first_line(text)
            image = _parse_fields(_split(text, columns), columns, text)
            if not image.wnid:
                table = _require_table(val_classes, image.stem) if table is None else table
                image = _of_table(image, table)
            _add(named, number, image)
        except ValueError as error:
            raise ListError(f"{where}, line {number}: {error}") from error
    _compare_labels(named.values(), where)
    listed: dict[str, list[str]] = {}
    for _, image in named.values():
        listed.setdefault(image.wnid, []).append(_id_of(image))
    return listed


def parse_line(line: bytes) -> tuple[str, str] | None:
    """(WNID, image id) of a line by itself; None for a blank line or a # comment. Raises ValueError."""
    if not (text := _text(line)):
        return None
    columns = _first_line(text)
    image = _parse_fields(_split(text, columns), columns, text)
    return (image.wnid, _id_of(image)) if image.wnid else None


def _text(line: bytes) -> str:
    """The line without its end; "" for a blank line or a comment. Raises ValueError."""
    if len(line) > MAX_LINE:
        raise ValueError(f"is longer than {MAX_LINE} bytes; a list has one file name a line")
    try:
        text = line.decode().strip()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text; save the list as UTF-8") from None
    if text.startswith("#"):
        return ""
    if not text.replace("\t", "").isprintable():
        raise ValueError("holds control characters; save the list as UTF-8 text")
    return text


def _header(text: str) -> _Columns | None:
    """The columns that a first line names; None if it is none of a header. Raises ValueError."""
    separator = next((mark for mark in ",\t" if mark in text), " " if " " in text else "")
    titles = [re.sub(r"[\W_]+", "", title).lower() for title in _fields(text, separator)]
    if not set(titles) & {*_NAME_COLUMNS, *_CLASS_COLUMNS}:
        return None
    if not (names := [title for title in _NAME_COLUMNS if title in titles]):
        raise ValueError(f"is a header without a column of file names, such as path: {text[:60]!r}")
    classes = tuple(titles.index(title) for title in _CLASS_COLUMNS if title in titles and title not in names)
    return _Columns(separator, len(titles), titles.index(names[0]), classes)


def _first_line(text: str) -> _Columns:
    if "," in text:
        return _Columns(",", 2)
    if "\t" in text:
        return _Columns("\t", 2)
    return _Columns(" ", 2) if _LABELLED.match(text) else _Columns("", 1, classes=())


def _fields(text: str, separator: str) -> list[str]:
    if separator == ",":
        return [field.strip() for field in next(csv.reader([text]))]
    if separator == "\t":
        return [field.strip() for field in text.split("\t")]
    return text.split() if separator else [text]


def _split(text: str, columns: _Columns) -> list[str]:
    """The fields of a line, as many as there are columns. Raises ValueError for a line of another form."""
    if columns.separator == " " and columns.count == 2 and columns.name == 0:  # the name may hold blanks
        match = _LABELLED.match(text)
        fields = [match[1], match[2]] if match else [text]
    else:
        fields = _fields(text, columns.separator)
    own = _first_line(text).separator
    if len(fields) != columns.count or (own and not columns.separator):
        expected = {"": "one name", ",": f"{columns.count} fields with commas between", "\t": f"{columns.count} fields"}
        raise ValueError(
            f"{text[:60]!r} is not of the form that the list begins with "
            f"({expected.get(columns.separator, 'a name and a label')} a line); {EXAMPLE}"
        )
    return fields


def _parse_fields(fields: Sequence[str], columns: _Columns, text: str) -> NamedImage:
    """Raises ValueError if the name is none, or a field contradicts it."""
    stem, wnids, counts_lines = _parse_name(fields[columns.name], text)
    label: int | None = None
    for column in columns.classes:
        value = fields[column]
        if match := _CLASS.match(value):
            wnids.append(match[1])
        elif (parsed := parse_number(value)) is not None:
            label = parsed if label is None else label
        elif columns.count == 2 and columns.name == 0 and not value.replace(" ", "").replace("_", "").isalpha():
            raise ValueError(f"{value[:60]!r} is no label; {EXAMPLE}")
    if len(set(wnids)) > 1:
        raise ValueError(f"{text[:60]!r} is of {wnids[0]} and of {next(w for w in wnids if w != wnids[0])}; correct it")
    if not wnids and not _VAL.match(stem):
        raise ValueError(f"{text[:60]!r} names no image of a class; {EXAMPLE}")
    return NamedImage(stem, wnids[0] if wnids else "", label, counts_lines)


def _parse_name(name: str, text: str) -> tuple[str, list[str], bool]:
    """The stem of a file name, the WNIDs in it and its folders, and whether Kaggle writes it so. Raises ValueError."""
    *folders, file = name.replace("\\", "/").split("/")
    stem = _SUFFIX.sub("", file)
    wnids = [match[0] for folder in folders if (match := _WNID.match(folder))]
    in_folder = bool(wnids)
    if match := _OFFICIAL.match(stem):
        stem = match[1]
        wnids.append(match[2])
    if match := _WNID.match(stem):
        wnids.append(match[0])
    bare = stem == file
    if bare and not folders and _WNID.fullmatch(stem):
        raise ValueError(f"{stem} is a class, not an image; for classes type classes.wnids=FILE")
    if stem.startswith("ILSVRC2012_test_"):
        raise ValueError(f"{stem} is a test image, and the labels of these were never published; leave it out")
    is_odd = any(character.isspace() or character in ",;|" for character in stem)
    if not stem or _TWO_NAMES.search(name) or (is_odd and (bare or not in_folder)):
        raise ValueError(f"{text[:60]!r} names no image of a class; {EXAMPLE}")
    return stem, wnids, bare and (bool(folders) or bool(_VAL.match(stem)))


def _require_table(val_classes: ValClasses | None, stem: str) -> Mapping[str, str]:
    if val_classes is None:
        raise ValueError(f"nothing says of which class {stem} is; put it in a folder of its WNID")
    return val_classes()


def _of_table(image: NamedImage, table: Mapping[str, str]) -> NamedImage:
    if image.stem not in table:
        raise ValueError(f"{image.stem} is none of the {len(table):,} validation images that have a label")
    return NamedImage(image.stem, table[image.stem], image.label, image.counts_lines)


def _id_of(image: NamedImage) -> str:
    return image.stem if _IMAGE_ID.match(image.stem) else image_id(image.wnid, image.stem)


def _add(named: dict[str, tuple[int, NamedImage]], number: int, image: NamedImage) -> None:
    """Raises ValueError if the image stands on a line above."""
    key = image.stem if _VAL.match(image.stem) else _id_of(image)
    before, other = named.setdefault(key, (number, image))
    if other is image:
        return
    if other.wnid != image.wnid:
        raise ValueError(f"{key} is of {image.wnid} here and of {other.wnid} on line {before}; leave one out")
    if other.label != image.label and not image.counts_lines:
        raise ValueError(f"{key} has label {image.label} here and {other.label} on line {before}; leave one out")
    raise ValueError(f"names {key} again, after line {before}; leave one out")


def _compare_labels(named: Iterable[tuple[int, NamedImage]], where: str) -> None:
    """Raise ListError unless one WNID has one label and one label one WNID, or the numbers count lines."""
    labelled = [(number, image) for number, image in named if image.label is not None]
    labels = [image.label or 0 for _, image in labelled]
    if all(image.counts_lines for _, image in labelled) and all(
        before < after for before, after in zip([0, *labels], labels, strict=False)
    ):
        return
    by_wnid: dict[str, tuple[int, int | None]] = {}
    by_label: dict[int | None, tuple[int, str]] = {}
    for number, image in labelled:
        first, label = by_wnid.setdefault(image.wnid, (number, image.label))
        if label != image.label:
            raise ListError(
                f"{where}, line {number}: {image.wnid} has label {image.label} here and {label} on line {first}; "
                "correct the list, or leave the labels out"
            )
        first, wnid = by_label.setdefault(image.label, (number, image.wnid))
        if wnid != image.wnid:
            raise ListError(
                f"{where}, line {number}: label {image.label} is {image.wnid} here and {wnid} on line {first}; "
                "correct the list, or leave the labels out"
            )
