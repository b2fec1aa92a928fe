"""Requests and responses, and the contract of the transport that carries them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

MAX_REDIRECTS = 5  # of one request: image hosts need one or two, and more are mostly a circle


@dataclass(frozen=True, slots=True)
class Request:
    """One GET. `first` and `last` are the ends of a byte range, both included (RFC 9110, 14.1.2)."""

    url: str
    first: int | None = None
    last: int | None = None
    max_bytes: int | None = None  # of the body; None = http.max_bytes
    first_byte_timeout: float | None = None  # seconds until the first byte; None = http.first_byte_timeout
    delay: float = 0.0  # seconds to wait before it is sent
    follow: bool = True  # follow redirects
    origin: str = ""  # the URL that redirected here: its port is allowed as well


@dataclass(frozen=True, slots=True)
class Response:
    """How one GET ended."""

    status: int  # 0 when no answer came
    body: bytes = b""
    final_url: str = ""
    address: str = ""  # IP address that answered
    headers: Mapping[str, str] = field(
        default_factory=dict
    )  # of the last answer, X-Robots-Tag of all; names in lower case
    fault: str = ""  # the Reason why there is no complete body; "" = complete
    seconds: float = 0.0
    body_seconds: float = 0.0  # of them, since the first byte of the response
    detail: str = ""  # of the fault, if more is known

    def without_body(self) -> Response:
        """A copy without the body, to be kept. Written out, since dataclasses.replace takes four times as long."""
        where = self.final_url, self.address, self.headers, self.fault
        return Response(self.status, b"", *where, self.seconds, self.body_seconds, self.detail)


@dataclass
class MemoryBudget:
    """Bytes of bodies in memory, which a transport and a reader count together; no request starts above the limit."""

    limit: int
    in_flight: int = 0  # bytes of bodies that are still arriving, at the last check
    waiting: int = 0  # bytes of complete bodies that wait for inspection

    @property
    def is_full(self) -> bool:
        return self.in_flight + self.waiting >= self.limit

    def acquire(self, size: int) -> None:
        """Count a body that waits for inspection."""
        self.waiting += size

    def release(self, size: int) -> None:
        """Stop to count it."""
        self.waiting -= size


class Transport(Protocol):
    """Carries requests. `ticket` comes back with the response and means nothing to the transport."""

    memory: MemoryBudget  # of bodies, in the transport and waiting for inspection

    def submit(self, request: Request, ticket: Hashable) -> None:
        """Start a request; its response comes out of poll(), whatever happens to it."""

    def poll(self, timeout: float) -> list[tuple[Hashable, Response]]:
        """Responses that have ended, after at most `timeout` seconds of waiting for the first one or a wake()."""

    def wake(self) -> None:
        """Make a poll() that waits return; may be called from any thread."""

    def close(self) -> None:
        """Drop what is in flight."""
