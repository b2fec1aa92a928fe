"""`source=manifest`: the very images of someone's manifest, fetched again and compared."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from imagenet_nk.config.sources import Materialize
from imagenet_nk.errors import SourceError
from imagenet_nk.formats.numbers import parse_byte_range, parse_row
from imagenet_nk.net.download import download, is_url
from imagenet_nk.net.http import Request, Response
from imagenet_nk.reasons import Reason, Rejected
from imagenet_nk.sources.contract import (
    BlockingCall,
    Candidate,
    CostModel,
    FetchedImage,
    ReadSteps,
    SourceContext,
    SourceTraits,
    candidates_in_order,
    rejection,
)
from imagenet_nk.sources.hub.places import HubPlaces
from imagenet_nk.sources.local.folders import read_file
from imagenet_nk.sources.local.tars import read_range
from imagenet_nk.sources.manifest import table
from imagenet_nk.storage.locators import text_to_path
from imagenet_nk.wording import one_line

log = logging.getLogger(__name__)

TERMS = """\
Images named by a manifest, each fetched from where its address pointed. Each stays under the terms of its owner, and
under ImageNet's terms of access (https://image-net.org/download): non-commercial research and education.
"""


class Manifest:
    """Candidates are the rows of a class in the order of the manifest, whatever the seed: its maker drew them."""

    name = "manifest"
    terms = TERMS
    materialize = Materialize.copy

    def __init__(self, path: str, replace: bool = False) -> None:
        """`path`: parquet or csv, here or at an http(s) address. `replace`: take what an address gives today where it
        is another picture than then; otherwise that is rejected as `drifted`.
        """
        self.path, self.replace = path, replace
        self.traits = SourceTraits(cost=CostModel(success=0.9), target_of=self._target_of)
        self._images: dict[str, table.Image] = {}
        self._hub: HubPlaces | None = None

    @property
    def identity(self) -> str:
        """By content: where the manifest lies, and in which of its forms, does not show."""
        digest = hashlib.blake2b(digest_size=8)
        for image in self._images.values():
            digest.update("\t".join(image).encode(errors="surrogateescape") + b"\n")
        return f"manifest:{digest.hexdigest()}{':replace' if self.replace else ''}"

    def open(self, wnids: Sequence[str], context: SourceContext) -> None:
        """Read the manifest. Raises SourceError if it is none, or has none of the classes."""
        images = table.read_images(self._at_hand(context))
        self._sampling = context.sampling
        self._images = {image.image_id: image for image in images}
        self._places: dict[str, dict[str, str]] = defaultdict(dict)
        for image in images:
            self._places[image.wnid][image.image_id] = image.url
        present = sum(wnid in self._places for wnid in wnids)
        if not present:
            raise SourceError(f"source.path={self.path} has no image of the {len(wnids)} wanted classes")
        log.info("%s: %d images, %d of the %d wanted classes", self.path, len(images), present, len(wnids))
        self._hub = HubPlaces(context.index / "manifest")
        if unfetchable := [rejected for image in images if (rejected := unfetchable_reason(image.url))]:
            example = unfetchable[0].detail
            log.warning(
                "%s: %d of the images cannot be fetched again, such as: %s", self.path, len(unfetchable), example
            )

    def candidates(self, wnid: str) -> Iterator[Candidate]:
        places = self._places.get(wnid, {})
        order: Iterator[Candidate] = (Candidate(image_id, wnid, url) for image_id, url in places.items())
        if self._sampling.listed(wnid) is not None:
            order = candidates_in_order(self._sampling, wnid, places)
        for candidate in order:
            is_pinned = candidate.key in places and not self.replace
            yield replace(candidate, sha256=self._images[candidate.key].sha256) if is_pinned else candidate

    def _target_of(self, wnid: str) -> int:
        """How many images of a class are wanted by name."""
        return len(self._places.get(wnid, {}))

    def read(self, candidate: Candidate) -> ReadSteps:
        if rejected := unfetchable_reason(candidate.url):
            return rejected
        result = yield from self._fetched(candidate)
        return _drift(result, candidate) or result

    def close(self) -> None:
        """Forget what was spooled of data sets."""
        if self._hub:
            self._hub.close()

    def _at_hand(self, context: SourceContext) -> Path:
        if not is_url(self.path):
            return Path(self.path).expanduser()
        name = f"manifest-{hashlib.sha256(self.path.encode()).hexdigest()[:12]}"
        return download(self.path, context.index / name, context.http, max_bytes=1 << 30)

    def _fetched(self, candidate: Candidate) -> Generator[Request | BlockingCall, Any, FetchedImage | Rejected]:
        """The bytes at an address: http(s), a path here, a range of either, or a row of a data set."""
        url, hub = candidate.url, self._hub
        if hub and hub.can_read(url):
            try:
                data = yield BlockingCall(lambda: hub.read(url))
            except SourceError as error:
                return Rejected(Reason.UNREADABLE, transient=True, detail=str(error))
            except (OSError, ValueError) as error:
                return Rejected(Reason.UNREADABLE, transient=url.startswith("http"), detail=one_line(error))
            return FetchedImage(candidate.key, data, url)
        return (
            yield from (_read_over_http(candidate) if is_url(url) and not _is_file_uri(url) else _read_local(candidate))
        )


def _drift(result: FetchedImage | Rejected, candidate: Candidate) -> Rejected | None:
    """What bytes other than the manifest's come to; None if they are those, or there is nothing to compare."""
    if not isinstance(result, FetchedImage) or not candidate.sha256:
        return None
    digest = hashlib.sha256(result.data).hexdigest()
    if digest == candidate.sha256:
        return None
    detail = f"sha256 is {digest[:16]} now, was {candidate.sha256[:16]}"
    return Rejected(Reason.DRIFTED, detail=detail)


def unfetchable_reason(url: str) -> Rejected | None:
    """Why nothing can be fetched at an address of a manifest, as far as that can be seen; None if it may be."""
    if not url:
        return Rejected(Reason.MISSING, detail="listed, but not in the manifest, or there without an address")
    if HubPlaces.can_read(url):
        return None
    if ("#bytes=" in url and not parse_byte_range(url)) or ("#row=" in url and not parse_row(url)):
        return Rejected(Reason.NO_ADDRESS, detail=f"the place in the file is malformed: {url[-60:]!r}")
    if "#row=" in url:
        return Rejected(Reason.NO_ADDRESS, detail="a row of a parquet file of another hub; HF_ENDPOINT names the hub")
    if url.partition("#")[0].endswith(".tar") and not parse_byte_range(url):
        return Rejected(Reason.NO_ADDRESS, detail="in a tar; take its image id with sampling=list source=archive")
    scheme = urlsplit(url).scheme.lower() if is_url(url) else ""
    if scheme not in ("", "file", "http", "https"):
        return Rejected(Reason.NO_ADDRESS, detail=f"{scheme}: is no address that can be fetched")
    if not scheme and not Path(url).is_absolute():
        return Rejected(Reason.NO_ADDRESS, detail="a relative path says nothing on another machine")
    return None


def _is_file_uri(url: str) -> bool:
    return url.lower().startswith("file:")


def _read_over_http(candidate: Candidate) -> Generator[Request | BlockingCall, Any, FetchedImage | Rejected]:
    if not (part := parse_byte_range(candidate.url)):
        response: Response = yield Request(candidate.url)
        return rejection(response) or FetchedImage(candidate.key, response.body, response.final_url)
    response = yield Request(part.file, part.first, part.last, max_bytes=part.size)
    if response.status == 200:
        if "html" in response.headers.get("content-type", ""):
            return Rejected(
                Reason.LOGIN_PAGE, transient=True, detail="a page instead of the archive; is a login needed?"
            )
        return Rejected(Reason.NO_RANGE, detail="the server does not send parts of a file")
    if rejected := rejection(response):
        return rejected
    if len(response.body) != part.size:
        return Rejected(Reason.WRONG_RANGE, transient=True, detail="another range than was asked for")
    return FetchedImage(candidate.key, response.body, candidate.url)


def _read_local(candidate: Candidate) -> Generator[Request | BlockingCall, Any, FetchedImage | Rejected]:
    is_member = bool(parse_byte_range(candidate.url))
    path = None if is_member else text_to_path(candidate.url)
    try:
        data = yield BlockingCall(lambda: read_file(path) if path else read_range(candidate.url))
    except FileNotFoundError:
        return Rejected(
            Reason.ELSEWHERE,
            detail="a file of the machine that made the manifest; take its image ids with sampling=list from "
            "source=full or source=archive",
        )
    except (OSError, ValueError) as error:
        return Rejected(Reason.UNREADABLE, detail=one_line(error))
    return FetchedImage(candidate.key, data, candidate.url if is_member else "", path=path)
