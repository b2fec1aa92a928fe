"""Images in tars on this machine, read in place: only headers are read to list them, then members by their offset."""

from __future__ import annotations

import io
import logging
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from imagenet_nk.errors import SourceError
from imagenet_nk.formats.hidden import is_hidden
from imagenet_nk.formats.magic import GZIP, HEAD, IMAGE_SUFFIXES, sniff
from imagenet_nk.formats.numbers import parse_byte_range
from imagenet_nk.image_ids import WNID
from imagenet_nk.sources.local.folders import MAX_BYTES, Listing
from imagenet_nk.storage.files import open_regular
from imagenet_nk.storage.locators import path_to_text, text_to_path

log = logging.getLogger(__name__)

_CHUNK = 1 << 20
TAR_FAULTS = (tarfile.TarError, OSError, ValueError, OverflowError, MemoryError)  # the last: sizes beyond 64 bits


class TarEntry(NamedTuple):
    """A regular file in a tar: `size` bytes from `offset` of the outermost file on."""

    name: str
    offset: int
    size: int
    path: str = ""  # within the tar, folders included

    @property
    def range(self) -> str:
        """`bytes=<first>-<last>`, both included as in HTTP."""
        return f"bytes={self.offset}-{self.offset + self.size - 1}"


class Tars:
    folders: tuple[()] = ()

    """What all layouts of tars share: the address of an image is `<tar>#bytes=<first>-<last>`."""

    def _list_tar(self, tar: Path, start: int = 0, size: int | None = None) -> Listing:
        path, problems = path_to_text(str(tar.absolute())), list[str]()
        files = {
            entry.name: f"{path}#{entry.range}"
            for entry in sorted(entries(tar, start, size, problems.append))
            if entry.size and (entry.name.lower().endswith(IMAGE_SUFFIXES) or _begins_as_image(tar, entry))
        }
        return Listing(files, *problems)


def _begins_as_image(tar: Path, entry: TarEntry) -> bool:
    """Whether a file without any suffix is an image by its first bytes."""
    if "." in entry.name:
        return False
    with tar.open("rb", buffering=0) as file:
        return sniff(os.pread(file.fileno(), min(entry.size, HEAD), entry.offset)) is not None


class TarOfTars(Tars):
    """ILSVRC2012_img_train.tar: one `<wnid>.tar` a class, each with the images of that class."""

    def __init__(self, tar: Path, members: Iterable[TarEntry], problem: str) -> None:
        """`members` of the tar; `problem`: why it may have more, one line. Of no class if it is another tar."""
        self._tar, self._problem = tar, problem
        self._inner = {
            entry.name.removesuffix(".tar"): entry
            for entry in members
            if entry.name.endswith(".tar") and WNID.match(entry.name.removesuffix(".tar"))
        }
        self.wnids = frozenset(self._inner)
        self.description = f"a tar of {len(self._inner)} class tars, read in place"

    def list_images(self, wnid: str) -> Listing:
        if not (inner := self._inner.get(wnid)):
            return Listing({}, self._problem)
        try:
            files, reason = self._list_tar(self._tar, inner.offset, inner.size)
        except SourceError as error:
            raise SourceError(f"{wnid}.tar in {error}") from error
        return Listing(files, reason and f"{wnid}.tar in {reason}")


class ClassTars(Tars):
    """One `<wnid>.tar` a class, as in winter21_whole, or the train tar unpacked once."""

    def __init__(self, tars: Sequence[Path]) -> None:
        self._tars = {tar.stem: tar for tar in tars}
        self.wnids = frozenset(self._tars)
        self.description = f"<wnid>.tar files in {tars[0].parent}, read in place"

    def list_images(self, wnid: str) -> Listing:
        return self._list_tar(self._tars[wnid]) if wnid in self._tars else Listing({})


def entries(
    tar: Path, start: int = 0, size: int | None = None, on_damage: Callable[[str], None] = log.warning
) -> Iterator[TarEntry]:
    """The regular files of the tar in `size` bytes of a file from `start` on, without hidden ones.

    Of a damaged or truncated tar, the entries before the damage; then `on_damage` gets one line about it. Raises
    SourceError if not even the first header can be read.
    """
    with _open(tar) as file, closing(_open_tar(tar, file, start)) as archive:
        file_size = os.fstat(file.fileno()).st_size
        limit = file_size if size is None else min(start + size, file_size)
        end = start
        try:
            while (info := archive.next()) is not None:
                if not info.issparse():  # the size of a sparse file is not that of its data
                    if info.size < 0 or info.offset_data <= end or info.offset_data + info.size > limit:
                        raise tarfile.ReadError(f"{info.name} does not lie within it")
                    end = info.offset_data + info.size
                    if info.isreg() and not is_hidden(info.name):
                        yield TarEntry(PurePosixPath(info.name).name, info.offset_data, info.size, info.name)
                if archive.offset >= limit:
                    raise tarfile.ReadError("no end mark")
            file.seek(archive.offset)  # tarfile takes a header that it cannot read for the end
            while data := file.read(min(_CHUNK, limit - file.tell())):
                if data.strip(b"\0"):
                    raise tarfile.ReadError("no tar header")
        except TAR_FAULTS as error:
            problem = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(error))  # quotes a name of the tar
            on_damage(f"{tar} is damaged behind byte {end} ({problem}): only the files before that are used")


def is_range(address: str) -> bool:
    return parse_byte_range(address) is not None


def read_range(address: str) -> bytes:
    """The bytes of `<tar>#bytes=<first>-<last>`. Raises OSError."""
    if not (part := parse_byte_range(address)):
        raise OSError(f"{address} is no range of a file")
    if (size := part.size) > MAX_BYTES:
        raise OSError(f"{address} has {size} bytes; no image is read beyond {MAX_BYTES}")
    with open_regular(text_to_path(part.file)) as file:
        data = os.pread(file.fileno(), size, part.first)
    if len(data) < size:
        raise OSError(f"{address}: the tar ends before")
    return data


def _open(tar: Path) -> io.BufferedReader:
    try:
        if not tar.is_file() and tar.exists():  # a pipe would never open
            raise SourceError(f"{tar} is no file")
        return open_regular(tar)
    except OSError as error:
        raise SourceError(f"{tar} cannot be read: {error.strerror}") from error


def _open_tar(tar: Path, file: io.BufferedReader, start: int) -> tarfile.TarFile:
    try:
        file.seek(start)
        head = file.read(tarfile.BLOCKSIZE)
        if head.strip(b"\0"):  # tarfile itself takes an invalid header that is not at the very beginning for the end
            tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
        file.seek(start)
        return tarfile.open(fileobj=file, mode="r:")
    except TAR_FAULTS as error:
        file.seek(start)
        problem = "is gzip'ed; gunzip it first" if file.read(2) == GZIP else f"is no tar: {error}"
        raise SourceError(f"{tar} {problem}") from error
