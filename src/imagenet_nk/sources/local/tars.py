"""Images in tars on this machine, read in place: headers are hopped over, members read by their offset."""

from __future__ import annotations

import io
import logging
import os
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from imagenet_nk.errors import SourceError
from imagenet_nk.formats.magic import GZIP, IMAGE_SUFFIXES
from imagenet_nk.image_ids import WNID
from imagenet_nk.sources.local.folders import MAX_BYTES, Listing
from imagenet_nk.storage.locators import path_to_text, text_to_path

log = logging.getLogger(__name__)

_CHUNK = 1 << 20
_PLACE = re.compile(r"(.*)#bytes=(\d+)-(\d+)\Z", re.DOTALL)


class Member(NamedTuple):
    """A regular file in a tar: `size` bytes from `offset` of the outermost file on."""

    name: str
    offset: int
    size: int


class Tars:
    """What all layouts of tars share: members are places `<tar>#bytes=<first>-<last>`, ends included as in HTTP."""

    def _files(self, tar: Path, start: int, size: int | None) -> Listing:
        place, broken = path_to_text(str(tar.absolute())), list[str]()
        files = {
            member.name: f"{place}#bytes={member.offset}-{member.offset + member.size - 1}"
            for member in sorted(members(tar, start, size, broken.append))
            if member.name.lower().endswith(IMAGE_SUFFIXES) and member.size
        }
        return Listing(files, *broken)

    def read(self, place: str) -> tuple[bytes, None]:
        return read_place(place), None


class TarOfTars(Tars):
    """ILSVRC2012_img_train.tar: one `<wnid>.tar` a class, each with that class's images."""

    def __init__(self, tar: Path) -> None:
        self._tar, broken = tar, list[str]()
        self._inner = {
            member.name.removesuffix(".tar"): member
            for member in members(tar, said=broken.append)
            if member.name.endswith(".tar") and WNID.match(member.name.removesuffix(".tar"))
        }
        self._broken = "".join(broken)
        if not self._inner:
            raise SourceError(
                self._broken
                or f"{tar} holds no <wnid>.tar, as ILSVRC2012_img_train.tar does; unpack it, or name another"
            )
        self.wnids = frozenset(self._inner)
        self.what = f"a tar of {len(self._inner)} class tars, read in place"

    def files(self, wnid: str) -> Listing:
        if not (inner := self._inner.get(wnid)):
            return Listing({}, self._broken)
        try:
            files, lacks = self._files(self._tar, inner.offset, inner.size)
        except SourceError as error:
            raise SourceError(f"{wnid}.tar in {error}") from error
        return Listing(files, lacks and f"{wnid}.tar in {lacks}")


class ClassTars(Tars):
    """One `<wnid>.tar` a class, as winter21_whole has them, or the train tar unpacked once."""

    def __init__(self, tars: Sequence[Path]) -> None:
        self._tars = {tar.stem: tar for tar in tars}
        self.wnids = frozenset(self._tars)
        self.what = f"<wnid>.tar files in {tars[0].parent}, read in place"

    def files(self, wnid: str) -> Listing:
        return self._files(self._tars[wnid], 0, None) if wnid in self._tars else Listing({})


def members(
    tar: Path, start: int = 0, size: int | None = None, said: Callable[[str], None] = log.warning
) -> Iterator[Member]:
    """The regular files of the tar at `start` of a file, by their last name alone: nothing is ever unpacked to a path.

    A tar that breaks off or turns to nonsense gives the members before that; then `said` gets one line about it. Raises
    SourceError if not even the first header can be read.
    """
    with _opened(tar) as file, closing(_tarfile(tar, window := _Window(file, start, size))) as archive:
        end = 0
        try:
            while (info := archive.next()) is not None:
                if info.issparse():  # its size is that of the file it stands for, not that of its data
                    continue
                if info.offset_data <= end or info.offset_data + info.size > window.size:
                    raise tarfile.ReadError(f"{info.name} does not lie within it")
                end = info.offset_data + max(info.size, 0)
                if info.isreg():
                    yield Member(PurePosixPath(info.name).name, start + info.offset_data, info.size)
            window.seek(archive.offset)  # tarfile takes a header that it cannot read for the end
            if archive.offset >= window.size:
                raise tarfile.ReadError("no end mark")
            while data := window.read(_CHUNK):
                if data.strip(b"\0"):
                    raise tarfile.ReadError("no tar header")
        except (tarfile.TarError, OSError, ValueError) as error:
            wrong = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(error))  # it quotes a name of the tar
            said(f"{tar} is broken behind byte {start + end} ({wrong}): only what comes before is used")


def read_place(place: str) -> bytes:
    """The bytes of `<tar>#bytes=<first>-<last>`. Raises OSError."""
    if not (parts := _PLACE.match(place)):
        raise OSError(f"{place} is no place in a tar")
    first, size = int(parts[2]), int(parts[3]) - int(parts[2]) + 1
    if size > MAX_BYTES:
        raise OSError(f"{place} has {size} bytes; no image is read beyond {MAX_BYTES}")
    with text_to_path(parts[1]).open("rb", buffering=0) as file:
        data = os.pread(file.fileno(), size, first)
    if len(data) < size:
        raise OSError(f"{place}: the tar ends before")
    return data


class _Window(io.RawIOBase):
    """A part of a file as a file."""

    def __init__(self, file: io.BufferedReader, start: int, size: int | None) -> None:
        whole = os.fstat(file.fileno()).st_size
        self.size = whole - start if size is None else min(size, whole - start)
        self._file, self._start, self._at = file, start, 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self.size - self._at)
        self._file.seek(self._start + self._at)
        data = self._file.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data


def _opened(tar: Path) -> io.BufferedReader:
    try:
        return tar.open("rb")
    except OSError as error:
        raise SourceError(f"{tar} cannot be read: {error.strerror}") from error


def _tarfile(tar: Path, window: _Window) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=window, mode="r:")
    except (tarfile.TarError, OSError, ValueError) as error:
        window.seek(0)
        kind = "is gzip'ed; gunzip it first" if window.read(2) == GZIP else f"is no tar: {error}"
        raise SourceError(f"{tar} {kind}") from error
