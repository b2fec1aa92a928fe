"""`sampling=list`: the images that a list names, such as the published 1 %, 5 a class and 1 a class."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from imagenet_nk.errors import ListError
from imagenet_nk.formats.magic import HEAD, IMAGE_SUFFIXES, kind_of
from imagenet_nk.image_ids import image_id

MAX_LINE = 4096  # bytes; a longer one is no file name

_EXTENSION = f"(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))})"
_LABEL = re.compile(rf"({_EXTENSION})[ ,\t][0-9]{1, 18}\Z", re.IGNORECASE)  # of an entry, in an eval.txt used as a list
_WNID = re.compile(r"n[0-9]{8}(?![0-9])")
_IMAGE_ID = re.compile(r"n[0-9]{8}(?:[A-Za-z0-9._-]|=[0-9A-F]{2}|=[0-9]+\Z)*\Z")  # as imagenet_nk.image_ids makes them


class ListedOrder:
    """The listed images of a class in the order of their lines. A class without a line wants none.

    A listed image that the source lacks is rejected as `missing`, so that it shows in classes.csv.
    """

    def __init__(self, seed: int, path: str) -> None:
        self.seed = seed
        file = Path(path).expanduser()
        try:
            with file.open("rb") as opened:
                _refuse_other(opened.read(HEAD), path)
                opened.seek(0)
                self._listed = parse(_lines(opened), path)
        except OSError as error:
            raise ListError(f"sampling.path={path} cannot be read: {error.strerror}") from error
        if not self._listed:
            raise ListError(f"sampling.path={path} is empty; it names one image a line, such as n04235860_14959.JPEG")

    @property
    def identity(self) -> str:
        """By content: the same list in another place is the same draw."""
        text = "\n".join(name for wnid in sorted(self._listed) for name in self._listed[wnid])
        return f"list:{blake2b(text.encode(), digest_size=8).hexdigest()}"

    def arrange(self, wnid: str, image_ids: Iterable[str]) -> list[str]:
        there = set(image_ids)
        return [name for name in self.listed(wnid) if name in there]

    def listed(self, wnid: str) -> Sequence[str]:
        return self._listed.get(wnid, ())


def parse(lines: Iterable[bytes], where: str) -> dict[str, list[str]]:
    """WNID -> image ids in the order of their lines. Raises ListError with the number of the first bad line."""
    numbers: dict[str, int] = {}
    listed: dict[str, list[str]] = {}
    for number, line in enumerate(lines, start=1):
        try:
            if (named := parse_line(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)) is None:
                continue
            wnid, name = named
            if name in numbers:
                raise ValueError(f"names {name} again, after line {numbers[name]}; leave one out")
        except ValueError as error:
            raise ListError(f"{where}, line {number}: {error}") from error
        numbers[name] = number
        listed.setdefault(wnid, []).append(name)
    return listed


def parse_line(line: bytes) -> tuple[str, str] | None:
    """(WNID, image id) of `[folders/]name[.ext][ label]`; None for a blank line or a # comment. Raises ValueError.

    Folders are left aside, but for the WNID where the name does not start with it.
    """
    if len(line) > MAX_LINE:
        raise ValueError(f"is longer than {MAX_LINE} bytes; a list has one file name a line")
    try:
        text = line.decode().strip()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text; save the list as UTF-8") from None
    if not text or text.startswith("#"):
        return None
    if not text.isprintable() and "\t" not in text:
        raise ValueError("holds control characters; save the list as UTF-8 text")
    *folders, name = _LABEL.sub(r"\1", text).replace("\\", "/").split("/")
    stem = re.sub(rf"{_EXTENSION}\Z", "", name, flags=re.IGNORECASE)
    wnids = [match[0] for part in (*folders, stem) if (match := _WNID.match(part))]
    if not stem or not wnids:
        raise ValueError(f"{text[:60]!r} names no image of a class; wanted is a name such as n04235860_14959.JPEG")
    return wnids[-1], stem if _IMAGE_ID.match(stem) else image_id(wnids[-1], stem)


def _refuse_other(head: bytes, path: str) -> None:
    kind = kind_of(head)
    if kind and kind != "no text":  # a NUL in the midst of text has a line
        raise ListError(
            f"sampling.path={path} is {kind}; a list is UTF-8 text, one file name a line, such as n04235860_14959.JPEG"
        )


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines, cut where no file name is that long: a file that is no list must not fill the memory."""
    while line := file.readline(MAX_LINE + 1):
        yield line
