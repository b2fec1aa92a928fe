"""A list file as a stream of bytes, whatever it is packed in: plain, .gz, .tgz or .parquet, told by content."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from isal import igzip_threaded, isal_zlib

from imagenet_nk.errors import SourceError
from imagenet_nk.sources import tarscan

CHUNK = 1 << 18  # fits a second-level cache together with what is computed from it
_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
_ID_COLUMNS, _URL_COLUMNS = ("id", "image_id", "key"), ("url", "URL")


def chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a list, piece by piece, never whole in memory or unpacked on disk.

    Raises SourceError: unreadable, empty, UTF-16, cut short, an archive without a file, parquet without the columns.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
            file.seek(0)
            if magic == _PARQUET:
                yield from _rows(path)
            elif magic[:2] == _GZIP:
                with igzip_threaded.open(path, "rb", threads=1) as unpacked:  # type: ignore[no-untyped-call]
                    yield from _text(path, unpacked)
            else:
                yield from _text(path, file)
    except FileNotFoundError as error:
        raise SourceError(f"there is no list {path}; give the path or address of one with source.list=") from error
    except (EOFError, gzip.BadGzipFile, isal_zlib.error) as error:  # type: ignore[misc]  # isal types it as a value
        raise SourceError(f"{path} is cut short or damaged ({error}); fetch it again") from error
    except OSError as error:
        raise SourceError(f"cannot read the list {path}: {error.strerror or error}") from error


def _text(path: Path, stream: BinaryIO | io.BufferedIOBase) -> Iterator[bytes]:
    first = _exactly(stream, tarscan.BLOCK)
    header = tarscan.parse(first)
    pieces = _members(path, stream, header) if header else _rest(first, stream)
    start = next((piece for piece in pieces if piece), b"")
    if not start.strip():
        raise SourceError(f"the list {path} is empty; give another with source.list=")
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") or start[:64].count(0) * 3 > len(start[:64]):
        raise SourceError(f"{path} is UTF-16; turn it into UTF-8: iconv -f UTF-16 -t UTF-8 {path.name} > list.txt")
    yield start.removeprefix(b"\xef\xbb\xbf")
    yield from pieces


def _rest(first: bytes, stream: BinaryIO | io.BufferedIOBase) -> Iterator[bytes]:
    yield first
    while piece := stream.read(CHUNK):
        yield piece


def _members(path: Path, stream: BinaryIO | io.BufferedIOBase, header: tarscan.Header | None) -> Iterator[bytes]:
    """The data of all plain files of a tar, one after the other, but for hidden ones (macOS leaves `._name`)."""
    found = False
    while header:
        wanted = header.is_file and not header.name.rpartition("/")[2].startswith(".")
        found |= wanted
        left = header.size
        while left:
            piece = stream.read(min(left, CHUNK))
            if not piece:
                raise SourceError(f"{path} is cut short inside {header.name!r}; fetch it again")
            left -= len(piece)
            if wanted:
                yield piece
        if wanted:
            yield b"\n"  # a file need not end its last line
        _exactly(stream, tarscan.padded(header.size) - header.size)
        header = tarscan.parse(_exactly(stream, tarscan.BLOCK))
    if not found:
        raise SourceError(f"{path} is a tar without a list in it; give another with source.list=")


def _exactly(stream: BinaryIO | io.BufferedIOBase, size: int) -> bytes:
    """`size` bytes, fewer only at the end: a read of a stream may give less."""
    got = b""
    while len(got) < size and (piece := stream.read(size - len(got))):
        got += piece
    return got


def _rows(path: Path) -> Iterator[bytes]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            names = table.schema_arrow.names
            ids = next((name for name in _ID_COLUMNS if name in names), None)
            urls = next((name for name in _URL_COLUMNS if name in names), None)
            if ids is None or urls is None:
                shown = ", ".join(names[:8])
                raise SourceError(
                    f"{path} has no columns id and url (it has {shown}); rename them, or give a list as text"
                )
            if table.metadata.num_rows == 0:
                raise SourceError(f"the list {path} is empty; give another with source.list=")
            for batch in table.iter_batches(1 << 14, columns=[ids, urls]):
                pairs = zip(*(batch.column(name).cast("string").to_pylist() for name in (ids, urls)), strict=True)
                yield "".join(f"{i or ''}\t{u or ''}\n" for i, u in pairs).encode(errors="surrogateescape")
    except pyarrow.ArrowException as error:
        raise SourceError(f"{path} is no sound parquet file: {str(error).splitlines()[0]}") from error
