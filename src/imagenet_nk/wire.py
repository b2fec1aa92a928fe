"""What crosses the wire, without the wire: what a source asks for, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image that a source could give."""

    key: str  # unique in its source; the image id where that is known beforehand
    wnid: str
    url: str  # where it is: an address, or a path; for hosts' limits, ledger and manifest
    draw: int | None = None  # number in the draw order, where draws may be left out; None = place among the candidates
    sha256: str = ""  # that its bytes must have, in hex, where that is said of it


@dataclass(frozen=True, slots=True)
class Request:
    """One GET. `first` and `last` are the ends of a byte range, both included (RFC 9110, 14.1.2)."""

    url: str
    first: int | None = None
    last: int | None = None
    max_bytes: int | None = None  # of the body; None = http.max_bytes
    patience: float | None = None  # seconds until the first byte; None = http.stall
    wait: float = 0.0  # seconds to let pass before it is sent
    follow: bool = True  # go where the answer redirects to
    origin: str = ""  # the address that led here, by redirects: what it may lead to is judged by that one


@dataclass(frozen=True, slots=True)
class Response:
    """The end of one GET, good or bad. Retries are over by then."""

    status: int  # 0 when no answer came
    body: bytes = b""
    final_url: str = ""
    address: str = ""  # IP address that answered
    headers: Mapping[str, str] = field(
        default_factory=dict
    )  # of the last answer, X-Robots-Tag of all; names in lower case
    fault: str = ""  # why there is no whole body: timeout, refused, no_dns, too_big, ...; "" = whole
    seconds: float = 0.0
    body_seconds: float = 0.0  # of them, from the first byte of the answer on
    detail: str = ""  # of the fault, where there is more to say

    def without_body(self) -> Response:
        """The same as a record that holds no memory. Spelled out: dataclasses.replace takes four times as long."""
        where = self.final_url, self.address, self.headers, self.fault
        return Response(self.status, b"", *where, self.seconds, self.body_seconds, self.detail)


@dataclass(frozen=True, slots=True)
class Call:
    """Blocking work (a file to read, a library to ask), run on a worker thread; its result is sent back."""

    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Found:
    """The bytes of a candidate, not yet inspected."""

    image_id: str  # unique in its source, safe as a file name: see sources.base.image_id
    data: bytes
    final_url: str = ""
    path: Path | None = None  # the local file that holds exactly `data`, if there is one: it can be linked


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a candidate gave no image."""

    reason: str  # one short word, a column of classes.csv: http_404, timeout, not_image, ...
    transient: bool = False  # it may be there tomorrow
    detail: str = ""
    content: str = field(default="", compare=False)  # sha256 of the bytes that were judged, in hex; "" if none came


# A source's reading of one candidate: it yields what it needs, is sent a Response or a Call's result, and returns.
# An exception of a Call is thrown into it.
Steps = Generator[Request | Call, Any, Found | Rejected]
