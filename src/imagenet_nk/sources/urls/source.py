"""`source=urls`: addresses of single images out of a list of `id<TAB>url` lines."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from imagenet_nk.classes.loading import clsloc_wnids
from imagenet_nk.config.sources import Materialize
from imagenet_nk.errors import SourceError
from imagenet_nk.formats.magic import HEAD, is_page, sniff
from imagenet_nk.net.download import OutOfReachError, download, is_url
from imagenet_nk.net.http import Request, Response
from imagenet_nk.reasons import Reason, Rejected
from imagenet_nk.sources.contract import (
    Candidate,
    CostModel,
    FetchedImage,
    ReadSteps,
    SourceContext,
    SourceTraits,
    candidates_in_order,
    rejection,
)
from imagenet_nk.sources.urls import url_forms
from imagenet_nk.wording import first_few

if TYPE_CHECKING:
    from imagenet_nk.sources.urls.list_index import ListIndex

log = logging.getLogger(__name__)

MAX_LIST_BYTES = 4 << 30
FORMAT = 2  # of the kept index
_MENDED_BY_HTTPS = frozenset(
    {"http_400", "http_403", "http_426", Reason.REFUSED, Reason.RESET, Reason.TIMEOUT, Reason.TRUNCATED}
)
_COPIES = (
    "the official list has not been served since 2019; copies named imagenet_fall11_urls.tgz live on Academic Torrents "
    "and in a Kaggle thread: fetch one and type source.list=FILE"
)


class Urls:
    """Candidates are the lines of a list; what their addresses give today is another matter."""

    name = "urls"
    traits = SourceTraits(cost=CostModel(success=0.4))
    materialize = Materialize.copy
    terms = (
        "The images were fetched from the web addresses in the manifest's column url. Each belongs to its owner, under "
        "the terms of the page that shows it. ImageNet's terms of access (https://image-net.org/download) allow "
        "non-commercial research and education only."
    )

    def __init__(self, list: str | Sequence[str]) -> None:  # noqa: A002  the config key is source.list
        """One location (path, http, https) or several, tried in order."""
        self._locations = [list] if isinstance(list, str) else [*list]
        self._index: ListIndex | None = None

    @property
    def identity(self) -> str:
        return f"urls/{self._open_index.fingerprint}"

    def open(self, wnids: Sequence[str], site: SourceContext) -> None:
        self._site = site
        self._index = self._first_usable(wnids, site)

    def _first_usable(self, wnids: Sequence[str], site: SourceContext) -> ListIndex:
        """The index of the first list that can be used. Raises what was wrong with all of them."""
        wrong: list[SourceError] = []
        for location in self._locations:
            if wrong:
                log.warning("%s; trying %s", wrong[-1], location)
            try:
                return _usable(_no_page(_at_hand(location, site), location), wnids, site)
            except SourceError as error:
                wrong.append(error)
        official = any("image-net.org" in location for location in self._locations)
        said = "; ".join(map(str, wrong)) + (f"; {_COPIES}" if official else "")
        raise (OutOfReachError if all(isinstance(one, OutOfReachError) for one in wrong) else SourceError)(said)

    def candidates(self, wnid: str) -> Iterator[Candidate]:
        return candidates_in_order(self._site.sampling, wnid, self._open_index.pairs(wnid))

    def read(self, candidate: Candidate) -> ReadSteps:
        """Ask the address, then its other forms (http.url_templates). The first answer says why there is no image."""
        if not candidate.url:
            return Rejected(Reason.MISSING)
        http = self._site.http
        first: FetchedImage | Rejected | None = None
        for url in url_forms.url_variants(candidate.url, http.url_templates):
            if first is not None and _in_vain(url, candidate.url, first):
                continue
            response: Response = yield Request(url)
            result = rejection(response) or FetchedImage(candidate.key, response.body, response.final_url)
            if isinstance(result, FetchedImage) and _is_image(result):
                return result
            first = first or result
        return first or Rejected(Reason.NO_ADDRESS)

    def close(self) -> None:
        if self._index is not None:
            self._index.close()
            self._index = None

    @property
    def _open_index(self) -> ListIndex:
        if self._index is None:
            raise SourceError("the list is not open; call open() first")
        return self._index


def _is_image(found: FetchedImage) -> bool:
    """Whether the answer may be the picture: other forms of the address are asked if it is a page or a placeholder."""
    return sniff(found.data) is not None and "photo_unavailable" not in found.final_url


def _in_vain(url: str, original: str, first: FetchedImage | Rejected) -> bool:
    """Whether asking the same address again over https cannot help: its host has answered clearly."""
    same = url.partition("://")[2] == original.partition("://")[2]
    return same and not (isinstance(first, Rejected) and first.reason in _MENDED_BY_HTTPS)


def _at_hand(location: str, site: SourceContext) -> Path:
    """A list as a local file: fetched once and kept beside the index where it is remote."""
    if not is_url(location):
        path = Path(location).expanduser()
        if path.is_dir():
            raise OutOfReachError(f"{location} is a folder, not a list; name a file in it with source.list=")
        if not path.is_file():
            raise OutOfReachError(f"there is no list {location}; give the path or address of one with source.list=")
        return path
    name = urlsplit(location).path.rpartition("/")[2] or "list"
    digest = hashlib.sha256(location.encode()).hexdigest()[:12]
    to = site.index / "lists" / f"{digest}-{re.sub(r'[^A-Za-z0-9._-]', '_', name)[-80:]}"
    return download(location, to, site.http, _Progress(location), max_bytes=MAX_LIST_BYTES)


def _no_page(file: Path, location: str) -> Path:
    """The file. Raises OutOfReachError for a page that someone or something saved under a list's name."""
    try:
        with file.open("rb") as opened:
            page = is_page(opened.read(HEAD))
    except OSError as error:
        raise OutOfReachError(f"cannot read the list {location}: {error.strerror}") from error
    if page:
        raise OutOfReachError(f"{location} is a web page, not a list")
    return file


class _Progress:
    """One line of log every few seconds of a long download."""

    def __init__(self, location: str) -> None:
        self.location, self.last = location, time.monotonic()

    def __call__(self, done: int, size: int | None) -> None:
        if time.monotonic() - self.last >= 5:
            self.last = time.monotonic()
            share = f" of {size / 1e6:,.0f}" if size else ""
            log.info("%s: %s%s MB", self.location, f"{done / 1e6:,.0f}", share)


def _usable(list_file: Path, wnids: Sequence[str], site: SourceContext) -> ListIndex:
    """The index of a list. Raises SourceError if it is none, OutOfReachError if it has nothing of the classes."""
    from imagenet_nk.sources.urls.list_stream import chunks

    index = _index(list_file, wnids, site.index)
    if any(index.pairs(wnid) for wnid in wnids):
        return index
    counts = ", ".join(f"{name} {count:,}" for name, count in index.counts.items() if count)
    index.close()
    start = bytes(next(chunks(list_file)))[:80].partition(b"\n")[0].decode(errors="replace").strip()
    unusable = sum(count for name, count in index.counts.items() if name != "lines")
    of_others = index.counts["lines"] > unusable  # a list like any other, but of classes that nobody asked for
    raise (OutOfReachError if of_others else SourceError)(
        f"{list_file} has no usable line `n########_...<TAB>url` of a wanted class ({first_few(wnids, 3)}): {counts}; "
        f"it begins with {start!r}"
    )


def _index(list_file: Path, wnids: Sequence[str], folder: Path) -> ListIndex:
    """The kept index of this list and these classes, made if it is not there.

    The 1000 classes of ILSVRC2012 are always among them, and by these it is judged which addresses stand in two: what
    a class has does not depend on which others are asked for, and another choice of them needs no other pass.
    """
    from imagenet_nk.sources.urls.list_index import ListIndex, build
    from imagenet_nk.sources.urls.list_stream import chunks

    reference = clsloc_wnids()
    wnids = sorted({*wnids, *reference})
    stat = list_file.stat()
    key = f"{FORMAT}\n{list_file.resolve()}\n{stat.st_size}\n{stat.st_mtime_ns}\n{','.join(wnids)}"
    file = folder / f"urls-{hashlib.sha256(key.encode()).hexdigest()[:16]}.index"
    try:
        return ListIndex(file)
    except (OSError, KeyError, ValueError, TypeError):
        started = time.monotonic()
    build(chunks(list_file), wnids, file, reference)
    index = ListIndex(file)
    counts = ", ".join(f"{name} {count:,}" for name, count in index.counts.items() if count)
    log.info("read %s in %.0f s: %s", list_file, time.monotonic() - started, counts)
    return index
