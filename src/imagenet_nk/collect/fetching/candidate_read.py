"""One candidate, from its place in the draw order of its class to the verdict on its bytes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from imagenet_nk.collect.fetching.inspector import ImageInfo
from imagenet_nk.dataset.ledger import CandidateKey
from imagenet_nk.dataset.records import CandidateRecord
from imagenet_nk.net import url_guard
from imagenet_nk.net.http import Request, Response
from imagenet_nk.reasons import Rejected
from imagenet_nk.sources.contract import Candidate, FetchedImage, ReadSteps, Source

Records = Mapping[CandidateKey, CandidateRecord]  # of settled candidates


@dataclass(slots=True, eq=False)
class CandidateRead:
    """A candidate that waits, is read, or has been read."""

    candidate: Candidate
    source: Source
    rank: int  # 0 = the first source, 1 = the fallback
    draw: int  # number in the draw order of its class and source
    index: int = -1  # among all candidates of its class
    host: str = field(init=False)  # unit of per-host limits for its URL; "" = no network needed

    # --- while it is read
    steps: ReadSteps | None = None
    started: float = 0.0
    existing_ids: Collection[str] = ()  # image ids that another source gave already
    request: Request | None = None  # the current one
    request_host: str = ""
    request_started: float = 0.0
    tries: int = 0  # requests made for this candidate
    retries: int = 0  # repetitions of the current request because it failed
    outage_retries: int = 0  # repetitions of it because of an outage
    hops: int = 0  # redirects followed one by one since the source's own request
    response: Response = field(default_factory=lambda: Response(0))  # the last one, without its body

    # --- the result
    image: FetchedImage | None = None  # its data is dropped after inspection
    size: int = 0  # bytes of the image
    verdict: ImageInfo | Rejected | None = None
    is_final: bool = True  # False: a failed request that is repeated; only the ledger needs to know

    def __post_init__(self) -> None:
        self.host = url_guard.host_key(self.candidate.url)  # "" for a malformed URL, which its reading will report

    def __lt__(self, other: CandidateRead) -> bool:  # for a heap by time, where times may be equal
        return self.started < other.started
