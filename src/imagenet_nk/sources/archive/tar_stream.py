"""A tar on a server that sends whole files only: read from its beginning, no further than needed."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import chain, islice

import requests

from imagenet_nk.config import HttpConfig
from imagenet_nk.errors import SourceError
from imagenet_nk.formats import tar_headers
from imagenet_nk.formats.tar_headers import BLOCK
from imagenet_nk.net.download import Validators, innermost_reason
from imagenet_nk.sources.archive.member_map import Member
from imagenet_nk.sources.contract import TRY_AGAIN

BATCH = 32  # members that are read together, and among which the draw decides
MOST_OPEN = 32  # streams
_CHUNK = 1 << 18
_TRIES = 4


class Streams:
    """Open streams, the oldest closed when there are too many. Safe for several threads."""

    def __init__(self, web: requests.Session, http: HttpConfig) -> None:
        self._web, self._http = web, http
        self._versions: dict[str, Validators] = {}  # that each address had at first
        self._open: OrderedDict[str, TarStream] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, url: str) -> TarStream:
        with self._lock:
            stream = self._open.pop(url, None) or TarStream(url, self._web, self._http, self._versions)
            self._open[url] = stream
            while len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)[1].close()
            return stream

    def close(self) -> None:
        with self._lock:
            for stream in self._open.values():
                stream.close()
            self._open.clear()


class TarStream:
    """The members of one tar in batches; the connection stays open between them."""

    def __init__(self, url: str, web: requests.Session, http: HttpConfig, versions: dict[str, Validators]) -> None:
        """`versions`: of all addresses as they were first seen; this one's is noted there."""
        self.url = url
        self._web, self._http, self._versions = web, http, versions
        self._lock = threading.Lock()
        self._number, self._batch = -1, list[tuple[Member, bytes]]()
        self._answer: requests.Response | None = None
        self._members: Iterator[tuple[Member, bytes]] = iter(())

    def batch(self, number: int) -> list[tuple[Member, bytes]]:
        """The number-th batch of plain files; shorter than BATCH only where the tar ends.

        Raises SourceError if the server does not give the tar, after some tries.
        """
        with self._lock:
            for again in range(_TRIES):
                try:
                    return self._at(number)
                except (requests.RequestException, OSError) as error:
                    self._stop()
                    wrong = innermost_reason(error)
                time.sleep(self._http.backoff * 2**again)
            raise SourceError(f"{self.url}: {wrong}; {TRY_AGAIN}")

    def _at(self, number: int) -> list[tuple[Member, bytes]]:
        if number < self._number or self._answer is None:
            self._start()
        while self._number < number:
            self._batch = list(islice(self._members, BATCH))
            self._number += 1
        return self._batch

    def find(self, wanted: Callable[[Member], bool]) -> tuple[Member, bytes] | None:
        """The first member that is wanted, looked for from the beginning; None if there is none. Raises SourceError."""
        number = 0
        while batch := self.batch(number):
            for member, data in batch:
                if wanted(member):
                    return member, data
            number += 1
        return None

    def _start(self) -> None:
        self._stop()
        self._answer = self._web.get(self.url, stream=True, timeout=(self._http.connect_timeout, self._http.deadline))
        self._answer.raise_for_status()
        length = self._answer.headers.get("Content-Length", "")
        version = Validators.of(self._answer.headers, int(length) if length.isdigit() else None)
        if self._versions.setdefault(self.url, version) != version:
            raise OSError("has changed on the server")
        self._number, self._doubted = -1, False
        chunks = self._answer.iter_content(_CHUNK)
        head = _fill(b"", BLOCK, chunks)
        if not tar_headers.parse(head):
            raise OSError("sends no tar")
        self._members = members(chain([head], chunks), self._http.max_bytes)

    def _stop(self) -> None:
        if self._answer is not None:
            self._answer.close()
        self._answer, self._batch = None, []

    def close(self) -> None:
        """Hang up; a later batch() calls again."""
        with self._lock:
            self._stop()


def members(chunks: Iterator[bytes], most_bytes: int) -> Iterator[tuple[Member, bytes]]:
    """Plain files of a tar that comes in pieces; ends where the tar does, or at a broken header.

    A file of more than `most_bytes` is passed over.
    """
    held, start = b"", 0
    before = b""  # headers about the next member
    while True:
        held = _fill(held, BLOCK, chunks)
        header = tar_headers.parse(held)
        if header is None:
            return
        if header.size > most_bytes:
            held, before = _drop(held, header.span, chunks), b""
            start += header.span
            continue
        held = _fill(held, header.span, chunks)
        if header.is_prefix:
            before += held[: header.span]
        else:
            name = tar_headers.whole_name(before + held[:BLOCK])
            if header.is_file and header.size and name and tar_headers.stem(name) and len(held) >= BLOCK + header.size:
                yield Member(start, header, name), held[BLOCK : BLOCK + header.size]
            before = b""
        held = held[header.span :]
        start += header.span


def _fill(held: bytes, size: int, chunks: Iterator[bytes]) -> bytes:
    """At least `size` bytes, if the pieces give so many."""
    pieces, length = [held], len(held)
    while length < size and (chunk := next(chunks, b"")):
        pieces.append(chunk)
        length += len(chunk)
    return b"".join(pieces)


def _drop(held: bytes, size: int, chunks: Iterator[bytes]) -> bytes:
    """What follows the first `size` bytes."""
    while len(held) < size:
        size -= len(held)
        held = next(chunks, b"")
        if not held:
            return b""
    return held[size:]
