"""A tar on a server that sends whole files only, read from its beginning and no further than needed.

The one module of the archive that uses `requests`: its connection stays open between batches, however long that takes,
and is read at the pace of the reader; net.curl_transport fetches complete bodies within a deadline.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import chain, islice

import requests

from imagenet_nk.config.collecting import HttpConfig
from imagenet_nk.errors import SourceError
from imagenet_nk.formats import tar_headers
from imagenet_nk.formats.numbers import parse_number
from imagenet_nk.formats.tar_headers import BLOCK
from imagenet_nk.net.download import Validators, innermost_reason
from imagenet_nk.net.guarded_session import CONNECT_TIMEOUT_S, open_session
from imagenet_nk.net.retry_policy import backoff_seconds
from imagenet_nk.sources.archive.member_map import Member
from imagenet_nk.sources.contract import TRY_AGAIN

BATCH = 32  # members that are read together; the draw orders them within a batch
_MAX_OPEN = 32  # streams
_CHUNK = 1 << 18
_ATTEMPTS = 4


class Streams:
    """Open streams by URL; the least recently used one is closed when there are too many. Safe for several threads."""

    def __init__(self, http: HttpConfig) -> None:
        self._web, self._http = open_session(http, _MAX_OPEN), http
        self._versions: dict[str, Validators] = {}  # of each URL when it was opened first
        self._open: OrderedDict[str, TarStream] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, url: str) -> TarStream:
        with self._lock:
            stream = self._open.pop(url, None) or TarStream(url, self._web, self._http, self._versions)
            self._open[url] = stream
            while len(self._open) > _MAX_OPEN:
                self._open.popitem(last=False)[1].close()
            return stream

    def close(self) -> None:
        with self._lock:
            for stream in self._open.values():
                stream.close()
            self._open.clear()
            self._web.close()


class TarStream:
    """The members of one tar in batches; the connection stays open between them."""

    def __init__(self, url: str, web: requests.Session, http: HttpConfig, versions: dict[str, Validators]) -> None:
        """`versions`: of all URLs when they were opened first; this one's is added."""
        self.url = url
        self._web, self._http, self._versions = web, http, versions
        self._lock = threading.Lock()
        self._number, self._batch = -1, list[tuple[Member, bytes]]()
        self._response: requests.Response | None = None
        self._members: Iterator[tuple[Member, bytes]] = iter(())

    def batch(self, number: int) -> list[tuple[Member, bytes]]:
        """The number-th batch of plain files; shorter than BATCH only where the tar ends.

        Raises SourceError if the server does not give the tar, after some attempts.
        """
        with self._lock:
            for attempt in range(_ATTEMPTS):
                try:
                    return self._read_to(number)
                except (requests.RequestException, OSError) as error:
                    self._disconnect()
                    problem = innermost_reason(error)
                time.sleep(backoff_seconds(attempt + 1))
            raise SourceError(f"{self.url}: {problem}; {TRY_AGAIN}")

    def _read_to(self, number: int) -> list[tuple[Member, bytes]]:
        if number < self._number or self._response is None:
            self._connect()
        while self._number < number:
            self._batch = list(islice(self._members, BATCH))
            self._number += 1
        return self._batch

    def find(self, is_wanted: Callable[[Member], bool]) -> tuple[Member, bytes] | None:
        """The first member that is wanted, searched from the beginning; None if there is none. Raises SourceError."""
        number = 0
        while batch := self.batch(number):
            for member, data in batch:
                if is_wanted(member):
                    return member, data
            number += 1
        return None

    def _connect(self) -> None:
        self._disconnect()
        timeout = CONNECT_TIMEOUT_S, self._http.deadline
        self._response = self._web.get(self.url, stream=True, timeout=timeout)
        self._response.raise_for_status()
        length = parse_number(self._response.headers.get("Content-Length", ""))
        version = Validators.of(self._response.headers, length)
        if self._versions.setdefault(self.url, version) != version:
            raise OSError("has changed on the server")
        self._number = -1
        chunks = self._response.iter_content(_CHUNK)
        head = _fill(b"", BLOCK, chunks)
        if not tar_headers.parse(head):
            raise OSError("sends no tar")
        self._members = members(chain([head], chunks), self._http.max_bytes)

    def _disconnect(self) -> None:
        if self._response is not None:
            self._response.close()
        self._response, self._batch = None, []

    def close(self) -> None:
        """Disconnect; a later batch() connects again."""
        with self._lock:
            self._disconnect()


def members(chunks: Iterator[bytes], max_bytes: int) -> Iterator[tuple[Member, bytes]]:
    """Plain files of a tar that comes in chunks, up to its end or a broken header; larger files are skipped."""
    data, start = b"", 0
    extensions = b""  # headers that describe the next member
    while True:
        data = _fill(data, BLOCK, chunks)
        header = tar_headers.parse(data)
        if header is None:
            return
        if header.size > max_bytes:
            data, extensions = _skip(data, header.total_size, chunks), b""
            start += header.total_size
            continue
        data = _fill(data, header.total_size, chunks)
        if header.is_extension_header:
            extensions += data[: header.total_size]
        else:
            name = tar_headers.full_name(extensions + data[:BLOCK])
            if header.is_file and header.size and name and tar_headers.stem(name) and len(data) >= BLOCK + header.size:
                yield Member(start, header, name), data[BLOCK : BLOCK + header.size]
            extensions = b""
        data = data[header.total_size :]
        start += header.total_size


def _fill(data: bytes, size: int, chunks: Iterator[bytes]) -> bytes:
    """`data` with more chunks, at least `size` bytes if there are so many."""
    pieces, length = [data], len(data)
    while length < size and (chunk := next(chunks, b"")):
        pieces.append(chunk)
        length += len(chunk)
    return b"".join(pieces)


def _skip(data: bytes, size: int, chunks: Iterator[bytes]) -> bytes:
    """What follows the first `size` bytes of `data` and the chunks behind it."""
    while len(data) < size:
        size -= len(data)
        data = next(chunks, b"")
        if not data:
            return b""
    return data[size:]
