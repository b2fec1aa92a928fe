"""`sampling=list`: the images that a list names, such as the published 1 %, 5 a class and 1 a class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from imagenet_nk.errors import ListError
from imagenet_nk.formats.magic import HEAD, kind_of
from imagenet_nk.sampling.name_lists import MAX_LINE, ValClasses, parse
from imagenet_nk.storage.files import open_regular


class ListedOrder:
    """The listed images of a class in the order of their lines. A class without a line wants none.

    A listed image that the source lacks is rejected as `missing`, so that it shows in classes.csv.
    """

    def __init__(self, seed: int, path: str, val_classes: ValClasses | None = None) -> None:
        """`val_classes`: as name_lists.parse() takes it. Raises ListError if the list cannot be read."""
        self.seed = seed
        file = Path(path).expanduser()
        try:
            with open_regular(file) as opened:
                _refuse_other(opened.read(HEAD), path)
                opened.seek(0)
                self._listed = parse(_lines(opened), path, val_classes)
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
        available = set(image_ids)
        return [name for name in self.listed(wnid) if name in available]

    def listed(self, wnid: str) -> Sequence[str]:
        return self._listed.get(wnid, ())


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
