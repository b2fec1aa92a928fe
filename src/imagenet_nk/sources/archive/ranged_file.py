"""Byte ranges of a large file, on this machine or on a server, all of the version that was seen first."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, Protocol

from imagenet_nk.config.collecting import HttpConfig
from imagenet_nk.errors import ContradictionError, SourceError
from imagenet_nk.formats.numbers import parse_content_range, parse_number
from imagenet_nk.net.download import OutOfReachError
from imagenet_nk.net.http import Request, Response
from imagenet_nk.net.retry_policy import backoff_seconds
from imagenet_nk.net.url_guard import PRIVATE
from imagenet_nk.reasons import Reason, Rejected
from imagenet_nk.sources.contract import TRY_AGAIN, BlockingCall, rejection
from imagenet_nk.storage.files import require_regular

_ATTEMPTS = 4
_HEAD = 1024  # bytes of the first request
_FAULTS: dict[str, str] = {
    Reason.TRUNCATED: "breaks off in the middle of an answer",
    Reason.REDIRECTS: "redirects without end; is a login needed?",
    Reason.TIMEOUT: "does not answer in time",
    Reason.REFUSED: "the connection is refused",
    Reason.NO_DNS: "the host name cannot be resolved",
    Reason.RESET: "the connection breaks",
    Reason.TLS: "no encrypted connection that can be verified",
    Reason.BAD_URL: "the address is malformed",
}

RangeSteps = Generator[Request | BlockingCall, Any, bytes]


class NoRangeError(SourceError):
    """The server sends whole files only."""


class RangeReadable(Protocol):
    """A file that can be read in ranges; both ends of a range are included."""

    location: str
    size: int  # bytes

    @property
    def version(self) -> str:
        """Size and validators; a file with another version is another file."""

    def read(self, first: int, last: int) -> bytes:
        """Read at once; shorter only at the end of the file. Raises SourceError, OutOfReachError if it is not there."""

    def read_steps(self, first: int, last: int) -> RangeSteps:
        """Steps of reading a candidate: exactly these bytes, which are known to exist.

        Raises SourceError after some attempts; ContradictionError if the file is not the one that an earlier run saw.
        """


class LocalFile:
    """A file on this machine."""

    def __init__(self, path: Path) -> None:
        self.location = str(path)
        try:
            stat = path.stat()
            require_regular(stat, path)
        except OSError as error:
            raise OutOfReachError(f"cannot read {path}: {error.strerror}") from error
        self.size = stat.st_size
        self._modified = stat.st_mtime_ns

    @property
    def version(self) -> str:
        return f"{self.size} {self._modified}"

    def read(self, first: int, last: int) -> bytes:
        try:
            with Path(self.location).open("rb", buffering=0) as file:  # a thousand tars are too many to keep open
                return os.pread(file.fileno(), last - first + 1, first)
        except OSError as error:
            raise SourceError(f"cannot read {self.location}: {error.strerror}") from error

    def read_steps(self, first: int, last: int) -> RangeSteps:
        data: bytes = yield BlockingCall(lambda: self.read(first, last))
        if len(data) < last - first + 1:
            raise SourceError(f"{self.location} is shorter than it was; {TRY_AGAIN}")
        return data


class HttpFile:
    """A file on a server that honours Range (RFC 9110, 14.2)."""

    def __init__(self, url: str, http: HttpConfig, get: Callable[[Request], Response], version: str = "") -> None:
        """`get` waits for a response; `version`: of an earlier run, else the first bytes are requested now.

        Raises OutOfReachError, NoRangeError, SourceError.
        """
        self.location = url
        self._http, self._get = http, get
        self._lock = threading.Lock()
        size, _, self._etag = version.partition(" ")
        found = parse_number(size)
        self.size = -1 if found is None else found
        self._head = b""
        self._is_confirmed = not version  # whether a response of this run has had this version
        if not version:
            self._head = self.read(0, _HEAD - 1)

    @property
    def version(self) -> str:
        return f"{self.size} {self._etag}"

    def read(self, first: int, last: int) -> bytes:
        if last < len(self._head):
            return self._head[first : last + 1]
        for attempt in range(_ATTEMPTS):
            result = self._check(self._get(self._request(first, last, attempt)), first, last)
            if isinstance(result, bytes):
                return result
            problem = result
            if not problem.transient:
                break
        if problem.reason == Reason.NO_RANGE:
            raise NoRangeError(self._describe(problem))
        is_gone = problem.transient or problem.reason.startswith("http_4")
        raise (OutOfReachError if is_gone else SourceError)(self._describe(problem))

    def read_steps(self, first: int, last: int) -> RangeSteps:
        for attempt in range(_ATTEMPTS):
            response: Response = yield self._request(first, last, attempt)
            result = self._check(response, first, last)
            if isinstance(result, bytes):
                self._is_confirmed = True
                return result
            problem = result
            if problem.reason == Reason.CHANGED and not self._is_confirmed:
                raise ContradictionError(f"{self.location} is another file than an earlier run saw; {TRY_AGAIN}")
        raise SourceError(f"{self._describe(problem)}; {TRY_AGAIN}")

    def _request(self, first: int, last: int, attempt: int) -> Request:
        delay = backoff_seconds(attempt) if attempt else 0.0
        return Request(self.location, first, last, max_bytes=last - first + 1, delay=delay)

    def _describe(self, problem: Rejected) -> str:
        return f"{self.location}: {problem.detail or problem.reason}"

    def _check(self, response: Response, first: int, last: int) -> bytes | Rejected:
        """The requested bytes if they are of the pinned version, else what is wrong with the response."""
        if response.status in (200, 206) and "html" in response.headers.get("content-type", ""):
            return Rejected(Reason.LOGIN_PAGE, detail="answers with a page instead of the archive; is a login needed?")
        if response.status == 200:
            return Rejected(Reason.NO_RANGE, detail="the server ignores Range and sends whole files")
        if response.status == 416:
            shorter = "is shorter than it was; it has changed on the server"
            return Rejected(Reason.CHANGED, detail="is empty" if self.size < 0 else shorter)
        if problem := rejection(response):
            return Rejected(problem.reason, problem.transient, _describe_fault(response))
        span = parse_content_range(response.headers.get("content-range", ""))
        if not span or span.first != first or len(response.body) != span.last - first + 1:
            return Rejected(Reason.WRONG_RANGE, detail="answers with another range than requested")
        if span.last != min(last, span.total - 1):
            return Rejected(Reason.WRONG_RANGE, detail="answers with fewer bytes than requested")
        if not self._has_version(span.total, response.headers):
            return Rejected(Reason.CHANGED, detail="has changed on the server while it was read")
        return response.body

    def _has_version(self, size: int, headers: Mapping[str, str]) -> bool:
        """Whether a response is of the pinned version; the first response pins it."""
        etag = headers.get("etag", "").removeprefix("W/")
        with self._lock:
            if self.size < 0:
                self.size, self._etag = size, etag
            return size == self.size and (not etag or not self._etag or etag == self._etag)


def _describe_fault(response: Response) -> str:
    if response.fault == Reason.FORBIDDEN:
        hint = "; http.allow_private=true permits it" if response.detail in PRIVATE else ""
        return f"leads to a forbidden address ({response.detail}){hint}"
    return _FAULTS.get(response.fault, f"answers {response.status or response.fault}")
