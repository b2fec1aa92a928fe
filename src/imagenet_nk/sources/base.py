"""The contract that every source signs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Protocol, runtime_checkable

from imagenet_nk.config import HttpConfig, Materialize
from imagenet_nk.sampling import Sampling
from imagenet_nk.wire import Candidate, Rejected, Response, Steps

EXTENSIONS = (".jpeg", ".jpg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")  # of image files, in lower case
# The reason that stands for all that could not be listed of a class: how much that is, none knows.
UNLISTED = "unlisted"
TRY_AGAIN = "nothing is held against any image: run it again when the source is whole"
REST = "=rest"  # ends the key of the candidate that stands for it; no image id ends so
_LONGEST = 180  # characters of an id, before the WNID
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True)
class Site:
    """What a source is given to open with."""

    index: Path  # folder beside the data set for what is worth keeping between runs (a list's index, a tar's)
    http: HttpConfig
    sampling: Sampling  # which candidates, in which order


@dataclass(frozen=True)
class Usual:
    """What a source's candidates come to as a rule."""

    success: float  # share of them that gives an image
    requests: float = 1.0  # for each; 0 = none, or not to be told beforehand
    bytes: float = 1.0  # fetched for each byte of an image


class Source(Protocol):
    """A place that has candidate images. Nothing to inherit.

    A source opens no connection for a candidate by itself: `read` yields Requests and Calls, and the collector carries
    them out within the limits of hosts, memory and time. Result and order depend on the arguments alone.
    """

    name: str  # the group member, for the manifest's column `source`
    terms: str  # where the images come from and under which terms: the text of TERMS.txt
    materialize: Materialize  # copy: bytes are stored; link and none: only for a Found that has a path
    one_place: bool  # all candidates lie in one archive, data set or folder: its faults are no candidate's
    usual: Usual  # what candidates cost and give, until a run knows better

    @property
    def identity(self) -> str:
        """What the draw depends on beyond seed and classes; another identity is another data set."""

    def open(self, wnids: Sequence[str], site: Site) -> None:
        """Make candidates() ready for these classes. Raises SourceError if the source cannot be used at all."""

    def candidates(self, wnid: str) -> Iterator[Candidate]:
        """All candidates of a class in draw order, lazily; none if the source does not know the class."""

    def read(self, candidate: Candidate) -> Steps:
        """The steps to the bytes of one candidate. Faults of the candidate are returned as Rejected, never raised.

        Raises SourceError for what is wrong with the one place where all of them lie, after some tries: it settles no
        candidate, so that the next run draws as if nothing had happened.
        """

    def close(self) -> None:
        """Let go of files and servers; open() may be called again."""


@runtime_checkable
class Remembers(Protocol):
    """A source that keeps beside the data set what it has seen of its one place; it may raise ContradictionError."""

    name: str

    def forget(self) -> None:
        """Keep none of it: not all of it can be true."""


@runtime_checkable
class Keeps(Protocol):
    """A source that has pieces of its one place at hand, so that reading once more need not mean asking once more."""

    def doubt(self, candidate: Candidate) -> None:
        """Let the next reading of a candidate ask for its bytes anew. Does not block."""


def image_id(wnid: str, name: str) -> str:
    """A file's stem as an image id: safe as a file name, and starting with the WNID so that it is unique in its source.

    Characters outside [A-Za-z0-9._-] become their UTF-8 bytes as =XX, so two names never meet in one id; the end of a
    long one becomes its digest.
    """
    safe = _UNSAFE.sub(
        lambda match: "".join(f"={byte:02X}" for byte in match[0].encode(errors="surrogateescape")), name
    )
    if len(safe) > _LONGEST:  # file systems end at 255 bytes
        cut = re.sub(r"=.?\Z", "", safe[: _LONGEST - 33])
        safe = f"{cut}.{blake2b(safe.encode(), digest_size=16).hexdigest()}"
    return safe if safe.startswith(wnid) else f"{wnid}_{safe}"


def distinct_ids(wnid: str, names: Iterable[str]) -> list[str]:
    """An image id for each file name of a class, in their order; the second of one stem gets `=2`, and so on.

    No name's own id ends so: there `=` is followed by two digits.
    """
    ids: dict[str, None] = {}
    for name in names:
        file = name.rpartition("/")[2]
        own = image_id(wnid, file.rpartition(".")[0] or file)  # pathlib's stem takes nine times as long
        ids[own if own not in ids else next(i for n in count(2) if (i := f"{own}={n}") not in ids)] = None
    return list(ids)


def in_order(sampling: Sampling, wnid: str, places: Mapping[str, str]) -> Iterator[Candidate]:
    """Candidates of a class whose image ids and places are known, in draw order.

    An id that a list names and the source lacks is a candidate without a url: its reading is Rejected("missing").
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
    return Rejected(f"http_{response.status}", transient)


TRANSIENT_FAULTS = frozenset({"timeout", "too_slow", "refused", "no_dns", "reset", "truncated"})
