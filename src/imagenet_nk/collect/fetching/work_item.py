"""One candidate on its way through a Reader, and how it ended."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from imagenet_nk.collect.fetching.inspector import ImageInfo
from imagenet_nk.net import url_guard
from imagenet_nk.net.http import Request, Response
from imagenet_nk.sources.contract import Candidate, FetchedImage, ReadSteps, Rejected, Source


@dataclass(frozen=True, slots=True)
class QueuedCandidate:
    """A candidate with its place in the draw order of its class and source."""

    candidate: Candidate
    source: Source
    rank: int  # 0 = the first source, 1 = the fallback
    draw: int
    host: str = field(default="", init=False, compare=False)  # unit of per-host limits; "" for what needs no network

    def __post_init__(self) -> None:
        # An address that is none has no host: its reading will say so.
        object.__setattr__(self, "host", url_guard.host_key(self.candidate.url))


@dataclass(slots=True)
class CandidateRead:
    """One candidate on its way."""

    candidate: Candidate
    source: Source
    ticket: Any
    steps: ReadSteps
    started: float
    request: Request | None = None
    request_started: float = 0.0
    host: str = ""
    existing_ids: Collection[str] = ()  # image ids that other sources have given already
    tries: int = 0  # requests made for this candidate
    retried: int = 0  # of them, for the request at hand
    outage_retries: int = 0  # of them, as well, for the web may have been gone
    response: Response = field(default_factory=lambda: Response(0))
    hops: int = 0  # redirects followed one by one, for the request at hand
    found: FetchedImage | None = None

    def __lt__(self, other: CandidateRead) -> bool:  # for the heap of those that wait for a time
        return self.started < other.started


@dataclass(frozen=True, slots=True)
class InspectionResult:
    """What inspection made of the bytes that a reading found."""

    verdict: ImageInfo | Rejected
    size: int = 0  # bytes of the image
    file: str = ""  # name under images/<wnid>/


@dataclass(frozen=True, slots=True)
class ReadOutcome:
    """How a reading ended."""

    reading: CandidateRead
    judged: InspectionResult
    final: bool = True  # False: it is tried again, this is for the ledger only
