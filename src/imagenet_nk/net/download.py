"""Files about images (lists, tables, devkits) over HTTP: one at a time, resumed where they broke off."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import requests
from urllib3.exceptions import HTTPError

from imagenet_nk.config.collecting import HttpConfig
from imagenet_nk.errors import SourceError
from imagenet_nk.formats.magic import is_page
from imagenet_nk.formats.numbers import parse_content_range, parse_number
from imagenet_nk.net.guarded_session import CONNECT_TIMEOUT_S, open_session
from imagenet_nk.net.retry_policy import backoff_seconds
from imagenet_nk.wording import one_line

CHUNK = 1 << 16  # bytes lost when a connection breaks
MAX_TRIES = 5  # without a byte of progress between them
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})

Progress = Callable[[int, int | None], None]  # bytes so far, bytes in all where the server says


class OutOfReachError(SourceError):
    """A URL that gives no file: there is none, or no host answers."""


@dataclass(frozen=True)
class Validators:
    """Validators of a remote file, as the server sent them: they tell its versions apart."""

    etag: str = ""
    modified: str = ""
    length: int | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str], length: int | None) -> Validators:
        return cls(headers.get("ETag", ""), headers.get("Last-Modified", ""), length)

    @property
    def condition(self) -> str:
        """The value for If-Range: a strong ETag or a date; "" without either."""
        return self.modified if self.etag.startswith("W/") or not self.etag else self.etag


def is_url(location: str) -> bool:
    """Whether a location is a URL rather than a path."""
    return "://" in location


def download(
    location: str, to: Path, http: HttpConfig, progress: Progress | None = None, *, max_bytes: int = 1 << 40
) -> Path:
    """Fetch a file whole and give it its name only then; returns `to`.

    What broke off goes on from the last byte, in this call and in the next (`to` + ".part"), as long as the server
    still has the same version. A `to` that is there is fetched again only if the server now has another version; if it
    cannot be asked, the file that is there serves.

    Raises OutOfReachError (no such file, no answer) and SourceError (too big, unwritable), one line each.
    """
    if not location.lower().startswith(("http://", "https://")):
        raise SourceError(f"{location}: only http and https addresses can be fetched; or give the path of a file")
    with open_session(http) as web:
        if to.exists() and _unchanged(web, location, to, http):
            return to
        try:
            to.parent.mkdir(parents=True, exist_ok=True)
            return _Download(web, location, to, http, progress, max_bytes).run()
        except OSError as error:
            raise SourceError(
                f"cannot write {to}: {error.strerror or error}; free space and run it again: it goes on "
                "from there; or choose another folder"
            ) from error


def _unchanged(web: requests.Session, location: str, to: Path, http: HttpConfig) -> bool:
    try:
        kept = Validators(**json.loads(_notes(to).read_text(encoding="utf-8")))
        answer = web.head(location, timeout=_timeout(http), allow_redirects=True)
    except (OSError, ValueError, TypeError, RecursionError, requests.RequestException):
        return True  # put there by hand, or nobody to ask: what is there serves
    if not answer.ok:
        return True
    now = Validators.of(answer.headers, parse_number(answer.headers.get("Content-Length", "")))
    pairs = [(kept.etag, now.etag), (kept.modified, now.modified), (kept.length, now.length)]
    return all(old == new for old, new in pairs if old and new)


def _notes(file: Path) -> Path:
    return file.with_name(file.name + ".http.json")


def _timeout(http: HttpConfig) -> tuple[float, float]:
    return CONNECT_TIMEOUT_S, max(
        http.first_byte_timeout, 20.0
    )  # one slow file is worth more patience than one of many images


class _Download:
    """The download of one file."""

    def __init__(
        self, web: requests.Session, url: str, to: Path, http: HttpConfig, progress: Progress | None, max_bytes: int
    ) -> None:
        self.web, self.url, self.to, self.http = web, url, to, http
        self.progress, self.max_bytes = progress, max_bytes
        self.part = to.with_name(to.name + ".part")
        self.version = self._version_of_part()

    def _version_of_part(self) -> Validators:
        try:
            return Validators(**json.loads(_notes(self.part).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            self.part.unlink(missing_ok=True)  # of which version it is a part is not known
            return Validators()

    def run(self) -> Path:
        failures = 0
        while True:
            before = self._have()
            try:
                self._go_on()
                break
            except (
                requests.ConnectionError,
                requests.Timeout,
                requests.exceptions.ChunkedEncodingError,
                HTTPError,
            ) as error:
                failures = failures + 1 if self._have() <= before else 1
                if failures >= MAX_TRIES or "BlockedAddressError" in repr(error):
                    raise OutOfReachError(f"{self.url}: {innermost_reason(error)}") from error
                time.sleep(backoff_seconds(failures))
            except (requests.RequestException, ValueError) as error:  # ValueError: a redirect to no URL
                raise OutOfReachError(f"{self.url}: {innermost_reason(error)}") from error
        self.part.replace(self.to)
        _notes(self.part).replace(_notes(self.to))
        return self.to

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _go_on(self) -> None:
        have = self._have()
        headers = (
            {"Range": f"bytes={have}-", "If-Range": self.version.condition} if have and self.version.condition else {}
        )
        with self.web.get(self.url, headers=headers, stream=True, timeout=_timeout(self.http)) as answer:
            if answer.status_code == 416:  # the part is longer than the file: another version
                self.part.unlink(missing_ok=True)
                raise requests.ConnectionError("the file changed on the server")
            if answer.status_code in _TRANSIENT:
                raise requests.ConnectionError(f"answers {answer.status_code} {answer.reason}")
            if answer.status_code not in (200, 206):
                raise OutOfReachError(f"{self.url}: answers {answer.status_code} {answer.reason}")
            chunks = answer.iter_content(CHUNK)
            first = next(chunks, b"")
            if answer.status_code == 200 and is_page(first):  # what is there of the file stays
                raise OutOfReachError(f"{self.url}: answered with a web page, not the file; is a login needed?")
            self._save(chain([first], chunks), self._start(answer, have))

    def _start(self, answer: requests.Response, have: int) -> int:
        """The offset of the body's first byte; 200 means that the whole file comes, because it is another version."""
        size = parse_number(answer.headers.get("Content-Length", ""))
        start = 0
        if answer.status_code == 206:
            span = parse_content_range(answer.headers.get("Content-Range", ""))
            if not span or span.first != have:
                self.part.unlink(missing_ok=True)
                raise requests.ConnectionError("answers with another range than was asked for")
            start, size = have, span.total
        self.version = Validators.of(answer.headers, size)
        if size is not None and size > self.max_bytes:
            raise SourceError(f"{self.url}: {size:,} bytes, more than the {self.max_bytes:,} that such a file may have")
        _notes(self.part).write_text(json.dumps(asdict(self.version)), encoding="utf-8")
        return start

    def _save(self, chunks: Iterable[bytes], start: int) -> None:
        done, size = start, self.version.length
        with self.part.open("r+b" if start else "wb") as file:
            file.seek(start)
            for chunk in chunks:
                done += len(chunk)
                if done > self.max_bytes:
                    raise SourceError(f"{self.url}: more than the {self.max_bytes:,} bytes that such a file may have")
                file.write(chunk)
                if self.progress:
                    self.progress(done, size)
            file.truncate()
        if size is not None and done != size:
            raise requests.ConnectionError(f"broke off after {done:,} of {size:,} bytes")


def innermost_reason(error: Exception) -> str:
    """The innermost reason of a chain of network errors, on one line."""
    innermost: BaseException = error
    for _ in range(10):
        inner = getattr(innermost, "reason", None) or innermost.__cause__ or innermost.__context__
        if not isinstance(inner, BaseException):
            break
        innermost = inner
    return one_line(innermost)
