"""Byte ranges of a large file, here or on a server, pinned to the version that was seen first."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, Protocol

import requests

from imagenet_nk.config import HttpConfig
from imagenet_nk.errors import ContradictionError, SourceError
from imagenet_nk.net.download import OutOfReachError, innermost_reason
from imagenet_nk.net.http import Request, Response
from imagenet_nk.reasons import Reason
from imagenet_nk.sources.contract import TRY_AGAIN, BlockingCall, Rejected, rejection

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)\Z")  # RFC 9110, 14.4
_TRIES = 4
_FAULTS: dict[str, str] = {
    Reason.TRUNCATED: "breaks off in the middle of an answer",
    Reason.REDIRECTS: "redirects without end; is a login needed?",
}
_HEAD = 1024  # bytes that are asked for first

Reading = Generator[Request | BlockingCall, Any, bytes]


class NoRangeError(SourceError):
    """A server that gives whole files only."""


class RangeReadable(Protocol):
    """A file that can be read in ranges; both ends of a range are included."""

    location: str
    size: int  # bytes

    @property
    def version(self) -> str:
        """Size and validators; another version is another file."""

    def read(self, first: int, last: int) -> bytes:
        """Read now; shorter only at the end of the file. Raises SourceError, and OutOfReachError if it is not there."""

    def steps(self, first: int, last: int) -> Reading:
        """Steps of a candidate's reading: exactly these bytes. Raises SourceError after some tries.

        Every fault is that of the file or its server: the range was known to be there. Raises ContradictionError where
        the file is another than an earlier run saw.
        """


class LocalFile:
    """A file on this machine."""

    def __init__(self, path: Path) -> None:
        self.location = str(path)
        try:
            stat = path.stat()
        except OSError as error:
            raise OutOfReachError(f"cannot read {path}: {error.strerror}") from error
        self.size = stat.st_size
        self._modified = stat.st_mtime_ns

    @property
    def version(self) -> str:
        return f"{self.size} {self._modified}"

    def read(self, first: int, last: int) -> bytes:
        try:
            with Path(self.location).open("rb", buffering=0) as file:  # a thousand tars are too many to hold open
                return os.pread(file.fileno(), last - first + 1, first)
        except OSError as error:
            raise SourceError(f"cannot read {self.location}: {error.strerror}") from error

    def steps(self, first: int, last: int) -> Reading:
        data: bytes = yield BlockingCall(lambda: self.read(first, last))
        if len(data) < last - first + 1:
            raise SourceError(f"{self.location} is shorter than it was; {TRY_AGAIN}")
        return data


class HttpFile:
    """A file on a server that honours Range (RFC 9110, 14.2)."""

    def __init__(self, url: str, http: HttpConfig, web: requests.Session, version: str = "") -> None:
        """Expects a version that an earlier run has seen, or asks for the first bytes.

        Raises OutOfReachError, NoRangeError where whole files come, SourceError.
        """
        self.location = url
        self._http, self._web = http, web
        self._lock = threading.Lock()
        size, _, self._etag = version.partition(" ")
        self.size = int(size) if size.isdigit() else -1
        self._head = b""
        self._is_known = not version  # whether an answer of this run has shown that version
        if not version:
            self._head = self.read(0, _HEAD - 1)

    @property
    def version(self) -> str:
        return f"{self.size} {self._etag}"

    def read(self, first: int, last: int) -> bytes:
        if last < len(self._head):
            return self._head[first : last + 1]
        result = self._check(self._get(first, last), first, last)
        for again in range(_TRIES - 1):
            if isinstance(result, bytes) or not result.transient:
                break
            time.sleep(self._http.backoff * 2**again)
            result = self._check(self._get(first, last), first, last)
        if isinstance(result, bytes):
            return result
        message = self._said(result)
        if result.reason == Reason.NO_RANGE:
            raise NoRangeError(message)
        gone = result.transient or result.reason.startswith("http_4")
        raise (OutOfReachError if gone else SourceError)(message)

    def _get(self, first: int, last: int) -> Response:
        headers = {"Range": f"bytes={first}-{last}"}
        timeout = (self._http.connect_timeout, self._http.deadline)
        try:
            with self._web.get(self.location, headers=headers, stream=True, timeout=timeout) as answer:
                fields = {name.lower(): value for name, value in answer.headers.items()}
                body = answer.content if answer.status_code == 206 and _length(fields) <= last - first + 1 else b""
                return Response(answer.status_code, body, answer.url, headers=fields)
        except requests.RequestException as error:
            transient = isinstance(error, (requests.ConnectionError, requests.Timeout))
            refused = "BlockedAddressError" in repr(error)
            fault = Reason.TIMEOUT if transient and not refused else Reason.FORBIDDEN
            return Response(0, fault=fault, headers={"why": innermost_reason(error)})

    def steps(self, first: int, last: int) -> Reading:
        wait, wrong = 0.0, ""
        for again in range(_TRIES):
            response: Response = yield Request(self.location, first, last, max_bytes=last - first + 1, delay=wait)
            result = self._check(response, first, last)
            if isinstance(result, bytes):
                self._is_known = True
                return result
            if result.reason == Reason.CHANGED and not self._is_known:
                raise ContradictionError(f"{self.location} is another file than an earlier run saw; {TRY_AGAIN}")
            wait, wrong = self._http.backoff * 2 ** (again + 1), self._said(result)
        raise SourceError(f"{wrong}; {TRY_AGAIN}")

    def _said(self, wrong: Rejected) -> str:
        return f"{self.location}: {wrong.detail or wrong.reason}"

    def _check(self, response: Response, first: int, last: int) -> bytes | Rejected:
        """The bytes that were asked for, of the version that is pinned, or what is wrong with the answer."""
        page = response.status in (200, 206) and "html" in response.headers.get("content-type", "")
        if page or response.status == 200:
            detail = (
                "answers with a page instead of the archive; is a login needed?"
                if page
                else "the server ignores Range and sends whole files"
            )
            return Rejected(Reason.LOGIN_PAGE if page else Reason.NO_RANGE, detail=detail)
        if response.status == 416:
            shorter = "is shorter than it was; it has changed on the server"
            return Rejected(Reason.CHANGED, detail="is empty" if self.size < 0 else shorter)
        if problem := rejection(response):
            why = response.headers.get("why") or _FAULTS.get(
                response.fault, f"answers {response.status or problem.reason}"
            )
            return Rejected(problem.reason, problem.transient, why)
        span = _CONTENT_RANGE.match(response.headers.get("content-range", ""))
        if not span or int(span[1]) != first or len(response.body) != int(span[2]) - first + 1:
            return Rejected(Reason.WRONG_RANGE, detail="answers with another range than was asked for")
        if int(span[2]) != min(last, int(span[3]) - 1):
            return Rejected(Reason.WRONG_RANGE, detail="answers with less than was asked for")
        if not self._same(int(span[3]), response.headers):
            return Rejected(Reason.CHANGED, detail="has changed on the server while it was read")
        return response.body

    def _same(self, size: int, headers: Mapping[str, str]) -> bool:
        """Whether an answer is of the pinned version; the first answer pins it."""
        etag = headers.get("etag", "").removeprefix("W/")
        with self._lock:
            if self.size < 0:
                self.size, self._etag = size, etag
            return size == self.size and (not etag or not self._etag or etag == self._etag)


def _length(headers: Mapping[str, str]) -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isdigit() else 1 << 62
