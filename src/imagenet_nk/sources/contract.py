"""The contract of a source: candidates of a class, and the steps to read one."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from imagenet_nk.config.collecting import HttpConfig
from imagenet_nk.config.sources import Materialize
from imagenet_nk.net.http import Request, Response
from imagenet_nk.reasons import TRANSIENT_FAULTS, Rejected, http_reason
from imagenet_nk.sampling.draw_order import Sampling


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image that a source could give."""

    key: str  # unique in its source; the image id where that is known beforehand
    wnid: str
    url: str  # where it is: an address, or a path; for hosts' limits, ledger and manifest
    draw: int | None = None  # number in the draw order, where draws may be left out; None = place among the candidates
    sha256: str = ""  # that its bytes must have, in hex, where that is said of it


@dataclass(frozen=True, slots=True)
class BlockingCall:
    """Blocking work (a file to read, a library to ask), run on a worker thread; its result is sent back."""

    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class FetchedImage:
    """The bytes of a candidate, not yet inspected."""

    image_id: str  # unique in its source, safe as a file name: see imagenet_nk.image_ids
    data: bytes
    final_url: str = ""
    path: Path | None = None  # the local file that holds exactly `data`, if there is one: it can be linked


# Reads one candidate: yields requests and blocking calls, is sent a Response or the result of a call, and returns.
# An exception of a call is thrown into it.
ReadSteps = Generator[Request | BlockingCall, Any, FetchedImage | Rejected]


TRY_AGAIN = "no image is marked as failed: run the same command again when the source works"
UNLISTED_KEY = "=rest"  # ends the key of the candidate that stands for it; no image id ends so


@dataclass(frozen=True)
class SourceContext:
    """What a source gets in open()."""

    index: Path  # folder beside the data set for what is worth keeping between runs (a list's index, a tar's)
    http: HttpConfig
    sampling: Sampling  # which candidates, in which order


@dataclass(frozen=True)
class CostModel:
    """Typical figures of a source's candidates."""

    success: float  # share of them that gives an image
    requests: float = 1.0  # for each; 0 = none, or not to be told beforehand
    bytes: float = 1.0  # fetched for each byte of an image


def no_hosts() -> frozenset[str]:
    """The source has no servers of its own."""
    return frozenset()


def no_downloads() -> Sequence[tuple[str, int]]:
    """The source fetches nothing before it opens."""
    return ()


def no_target(wnid: str) -> int | None:  # noqa: ARG001
    """No class has a number of images of its own."""
    return None


@dataclass(frozen=True)
class SourceTraits:
    """What differs between sources beside their candidates. Defaults are those of a list of addresses."""

    single_origin: bool = False  # all candidates lie in one archive, data set or folder: its faults are no candidate's
    cost: CostModel = CostModel(success=0.4)  # what candidates cost and give, until a run has measured it
    hosts_allowed: Callable[[], frozenset[str]] = no_hosts  # host:port of its own servers, for the guard; while open
    downloads: Callable[[], Sequence[tuple[str, int]]] = no_downloads  # files that open() would fetch: name and bytes
    target_of: Callable[[str], int | None] = no_target  # images of a class that are wanted by name; None = not named
    clear_index: Callable[[], None] | None = None  # drop what is kept of its origin: it contradicts itself


class Source(Protocol):
    """A place that has candidate images. A protocol: nothing to inherit.

    A source opens no connection for a candidate by itself: `read` yields Requests and Calls, and the collector carries
    them out within the limits of hosts, memory and time. Result and order depend on the arguments alone.
    """

    name: str  # the group member, for the manifest's column `source`
    terms: str  # where the images come from and under which terms: the text of TERMS.txt
    materialize: Materialize  # copy: bytes are stored; link and none: only for a Found that has a path

    @property
    def traits(self) -> SourceTraits:
        """What differs between sources; the same for the life of this one."""

    @property
    def identity(self) -> str:
        """What the draw depends on beyond seed and classes; another identity is another data set."""

    def open(self, wnids: Sequence[str], context: SourceContext) -> None:
        """Make candidates() ready for these classes. Raises SourceError if the source cannot be used at all."""

    def candidates(self, wnid: str) -> Iterator[Candidate]:
        """All candidates of a class in draw order, lazily; none if the source does not know the class."""

    def read(self, candidate: Candidate) -> ReadSteps:
        """The steps to the bytes of one candidate. Faults of the candidate are returned as Rejected, never raised.

        Raises SourceError for what is wrong with the one place where all of them lie, after some tries: it settles no
        candidate, so that the next run draws as if nothing had happened.
        """

    def close(self) -> None:
        """Release files and servers; open() may be called again."""


def candidates_in_order(sampling: Sampling, wnid: str, places: Mapping[str, str]) -> Iterator[Candidate]:
    """Candidates of a class whose image ids and places are known, in draw order.

    An id that a list names and the source lacks is a candidate without a url: its reading is Rejected(Reason.MISSING).
    """
    listed = sampling.listed(wnid)
    ids = sampling.arrange(wnid, places) if listed is None else listed
    return (Candidate(image_id, wnid, places.get(image_id, "")) for image_id in ids)


def rejection(response: Response) -> Rejected | None:
    """What a Response without a whole body means for its candidate; None if the body is there.

    203 is a 200 that a proxy on the way has touched (RFC 9110, 15.3.4): inspection judges it like any other.
    """
    if response.fault:
        return Rejected(response.fault, transient=response.fault in TRANSIENT_FAULTS, detail=response.detail)
    if response.status in (200, 203, 206):
        return None
    transient = response.status == 429 or response.status >= 500
    return Rejected(http_reason(response.status), transient)
