"""A list file as a stream of bytes, whatever it is packed in: plain, .gz, .tgz or .parquet, told by content."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import chain
from pathlib import Path

from imagenet_nk.errors import SourceError
from imagenet_nk.formats import tar_headers
from imagenet_nk.formats.gzip_stream import DamagedError, gunzip
from imagenet_nk.formats.magic import GZIP, HEAD, PARQUET, kind_of
from imagenet_nk.wording import first_few

CHUNK = 1 << 18  # fits a second-level cache together with what is computed from it
_MOST_NULS = 64  # in the first bytes of text
_ID_COLUMNS, _URL_COLUMNS = ("id", "image_id", "key"), ("url", "URL")


def chunks(path: Path) -> Iterator[bytes | memoryview]:
    """The bytes of a list, piece by piece, never whole in memory or unpacked on disk.

    Raises SourceError: unreadable, empty, no text, UTF-16, cut short, a tar without a file, parquet without columns.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
            file.seek(0)
            if magic == PARQUET:
                yield from _rows(path)
            elif magic.startswith(GZIP):
                with closing(gunzip(path)) as pieces:
                    yield from _text(path, _Stream(pieces))
            else:
                yield from _text(path, _Stream(iter(partial(file.read, CHUNK), b"")))
    except FileNotFoundError as error:
        raise SourceError(f"there is no list {path}; give the path or address of one with source.list=") from error
    except DamagedError as error:
        raise SourceError(f"{path} is cut short or damaged ({error}); fetch it again") from error
    except OSError as error:
        raise SourceError(f"cannot read the list {path}: {error.strerror or error}") from error


class _Stream:
    """Pieces of any size, read in others."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._held = pieces, memoryview(b"")

    def some(self, most: int = CHUNK) -> memoryview:
        """The next bytes, at most so many; empty only at the end."""
        if not self._held:
            self._held = memoryview(next(self._pieces, b""))
        taken, self._held = self._held[:most], self._held[most:]
        return taken

    def exactly(self, size: int) -> bytes:
        """So many bytes; fewer only at the end."""
        got = bytearray()
        while len(got) < size and (piece := self.some(size - len(got))):
            got += piece
        return bytes(got)


def _text(path: Path, stream: _Stream) -> Iterator[bytes | memoryview]:
    first = stream.exactly(tar_headers.BLOCK)
    header = tar_headers.parse(first)
    pieces = _members(path, stream, header) if header else chain([first], iter(stream.some, b""))
    start = bytes(next((piece for piece in pieces if piece), b""))
    if not start.strip():
        raise SourceError(f"the list {path} is empty; give another with source.list=")
    _refuse_other(start, str(path), header)
    yield start.removeprefix(b"\xef\xbb\xbf")
    yield from pieces


def _refuse_other(start: bytes, path: str, header: tar_headers.Header | None) -> None:
    """Raise SourceError for what is no list, by its first bytes; a NUL in the midst of text is one broken line."""
    kind = kind_of(start)
    if kind == "UTF-16 text":
        raise SourceError(f"{path} is UTF-16; save it as UTF-8")
    if kind == "a web page":
        raise SourceError(f"{path} is a web page, not a list")
    if kind and (kind != "no text" or start[:HEAD].count(0) > _MOST_NULS):
        unpack = "unpack it first" if kind.startswith("packed") or "archive" in kind else ""
        it = f"a tar, and its file {header.name} is {kind}" if header else kind
        raise SourceError(f"{path} is {it}: no list of `id<TAB>url` lines; {unpack or 'give one with source.list='}")


def _members(path: Path, stream: _Stream, header: tar_headers.Header | None) -> Iterator[bytes | memoryview]:
    """The data of all plain files of a tar, one after the other, but for hidden ones (macOS leaves `._name`)."""
    found = False
    while header:
        wanted = header.is_file and not header.name.rpartition("/")[2].startswith(".")
        found |= wanted
        left = header.size
        while left:
            piece = stream.some(min(left, CHUNK))
            if not piece:
                raise SourceError(f"{path} is cut short inside {header.name!r}; fetch it again")
            left -= len(piece)
            if wanted:
                yield piece
        if wanted:
            yield b"\n"  # a file need not end its last line
        stream.exactly(tar_headers.padded(header.size) - header.size)
        header = tar_headers.parse(stream.exactly(tar_headers.BLOCK))
    if not found:
        raise SourceError(f"{path} is a tar without a list in it; give another with source.list=")


def _rows(path: Path) -> Iterator[bytes]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            names = table.schema_arrow.names
            ids = next((name for name in _ID_COLUMNS if name in names), None)
            urls = next((name for name in _URL_COLUMNS if name in names), None)
            if ids is None or urls is None:
                raise SourceError(
                    f"{path} has no columns id and url (it has {first_few(names)}); rename them, or give a list as text"
                )
            if table.metadata.num_rows == 0:
                raise SourceError(f"the list {path} is empty; give another with source.list=")
            for batch in table.iter_batches(1 << 14, columns=[ids, urls]):
                pairs = zip(*(batch.column(name).cast("string").to_pylist() for name in (ids, urls)), strict=True)
                yield "".join(f"{i or ''}\t{u or ''}\n" for i, u in pairs).encode(errors="surrogateescape")
    except pyarrow.ArrowException as error:
        raise SourceError(f"{path} is no sound parquet file: {str(error).splitlines()[0]}") from error
