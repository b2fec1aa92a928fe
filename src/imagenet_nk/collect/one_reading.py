"""One candidate on its way through a Reader, and how it ended."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from imagenet_nk.collect.inspection import Picture
from imagenet_nk.sources.base import Source
from imagenet_nk.wire import Candidate, Found, Rejected, Request, Response, Steps


@dataclass(slots=True)
class Reading:
    """One candidate on its way."""

    candidate: Candidate
    source: Source
    ticket: Any
    steps: Steps
    started: float
    request: Request | None = None
    request_started: float = 0.0
    host: str = ""
    taken: Collection[str] = ()  # image ids that other sources have given already
    tries: int = 0  # requests made for this candidate
    retried: int = 0  # of them, for the request at hand
    doubted: int = 0  # of them, as well, for the web may have been gone
    response: Response = field(default_factory=lambda: Response(0))
    hops: int = 0  # redirects followed one by one, for the request at hand
    found: Found | None = None

    def __lt__(self, other: Reading) -> bool:  # for the heap of those that wait for a time
        return self.started < other.started


@dataclass(frozen=True, slots=True)
class Judged:
    """What inspection made of the bytes that a reading found."""

    verdict: Picture | Rejected
    size: int = 0  # bytes of the image
    file: str = ""  # name under images/<wnid>/


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a reading ended."""

    reading: Reading
    judged: Judged
    final: bool = True  # False: it is tried again, this is for the ledger only
