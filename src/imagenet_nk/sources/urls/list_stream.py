"""A list file as a stream of bytes: plain, .gz, .tgz or .parquet, recognised by content."""

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
_MAX_NULS = 64  # in the first bytes of text
_ID_COLUMNS, _URL_COLUMNS = ("id", "image_id", "key"), ("url", "URL")


def chunks(path: Path) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a list in pieces; it is neither held in memory nor unpacked on disk.

    Raises SourceError: unreadable, empty, not text, UTF-16, cut short, a tar without a file, parquet without columns.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
            file.seek(0)
            if magic == PARQUET:
                yield from _parquet_lines(path)
            elif magic.startswith(GZIP):
                with closing(gunzip(path)) as pieces:
                    yield from _text_chunks(path, _Stream(pieces))
            else:
                yield from _text_chunks(path, _Stream(iter(partial(file.read, CHUNK), b"")))
    except FileNotFoundError as error:
        raise SourceError(f"there is no list {path}; set source.list= to the path or address of one") from error
    except DamagedError as error:
        raise SourceError(f"{path} is cut short or damaged ({error}); fetch it again") from error
    except OSError as error:
        raise SourceError(f"cannot read the list {path}: {error.strerror or error}") from error


class _Stream:
    """An iterator of bytes as something to read from."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._held = pieces, memoryview(b"")

    def read(self, size: int = CHUNK) -> memoryview:
        """At most `size` bytes; empty only at the end."""
        if not self._held:
            self._held = memoryview(next(self._pieces, b""))
        result, self._held = self._held[:size], self._held[size:]
        return result

    def read_exact(self, size: int) -> bytes:
        """`size` bytes; fewer only at the end."""
        data = bytearray()
        while len(data) < size and (piece := self.read(size - len(data))):
            data += piece
        return bytes(data)


def _text_chunks(path: Path, stream: _Stream) -> Iterator[bytes | memoryview]:
    first = stream.read_exact(tar_headers.BLOCK)
    header = tar_headers.parse(first)
    pieces = _tar_files(path, stream, header) if header else chain([first], iter(stream.read, b""))
    start = bytes(next((piece for piece in pieces if piece), b""))
    if not start.strip():
        raise SourceError(f"the list {path} is empty; set source.list= to another list")
    _require_list(start, str(path), header)
    yield start.removeprefix(b"\xef\xbb\xbf")
    yield from pieces


def _require_list(start: bytes, path: str, header: tar_headers.Header | None) -> None:
    """Raise SourceError if the first bytes are not those of a list. A few NULs are allowed: they are broken lines."""
    kind = kind_of(start)
    if kind == "UTF-16 text":
        raise SourceError(f"{path} is UTF-16; save it as UTF-8")
    if kind == "a web page":
        raise SourceError(f"{path} is a web page, not a list")
    if kind and (kind != "no text" or start[:HEAD].count(0) > _MAX_NULS):
        unpack = "unpack it first" if kind.startswith("packed") or "archive" in kind else ""
        content = f"a tar, and its file {header.name} is {kind}" if header else kind
        raise SourceError(f"{path} is {content}, not a list of `id<TAB>url` lines; {unpack or 'set source.list='}")


def _tar_files(path: Path, stream: _Stream, header: tar_headers.Header | None) -> Iterator[bytes | memoryview]:
    """The data of all regular files of a tar in turn, except hidden ones (macOS adds `._name`)."""
    has_file = False
    while header:
        is_wanted = header.is_file and not header.name.rpartition("/")[2].startswith(".")
        has_file |= is_wanted
        remaining = header.size
        while remaining:
            piece = stream.read(min(remaining, CHUNK))
            if not piece:
                raise SourceError(f"{path} is cut short inside {header.name!r}; fetch it again")
            remaining -= len(piece)
            if is_wanted:
                yield piece
        if is_wanted:
            yield b"\n"  # in case the last line of the file has no end
        stream.read_exact(tar_headers.padded(header.size) - header.size)
        header = tar_headers.parse(stream.read_exact(tar_headers.BLOCK))
    if not has_file:
        raise SourceError(f"{path} is a tar without a file in it; set source.list= to another list")


def _parquet_lines(path: Path) -> Iterator[bytes]:
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
                raise SourceError(f"the list {path} is empty; set source.list= to another list")
            for batch in table.iter_batches(1 << 14, columns=[ids, urls]):
                pairs = zip(*(batch.column(name).cast("string").to_pylist() for name in (ids, urls)), strict=True)
                yield "".join(f"{i or ''}\t{u or ''}\n" for i, u in pairs).encode(errors="surrogateescape")
    except pyarrow.ArrowException as error:
        raise SourceError(f"{path} is not a valid parquet file: {str(error).splitlines()[0]}") from error
