"""`source=urls`: single images at the web addresses of a list of `id<TAB>url` lines."""

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
from imagenet_nk.sources.official import DownloadProgress
from imagenet_nk.sources.urls import url_forms
from imagenet_nk.wording import first_few

if TYPE_CHECKING:
    from imagenet_nk.sources.urls.list_index import ListIndex

log = logging.getLogger(__name__)

MAX_LIST_BYTES = 4 << 30
INDEX_VERSION = 2  # of the saved index
_HTTPS_MAY_HELP = frozenset(
    {"http_400", "http_403", "http_426", Reason.REFUSED, Reason.RESET, Reason.TIMEOUT, Reason.TRUNCATED}
)
_COPIES_HINT = (
    "the official list has not been served since 2019; copies named imagenet_fall11_urls.tgz live on Academic Torrents "
    "and in a Kaggle thread: fetch one and type source.list=FILE"
)


class Urls:
    """The candidates are the lines of a list. Many of their URLs are dead, or return something else today."""

    name = "urls"
    traits = SourceTraits(cost=CostModel(success=0.4))
    materialize = Materialize.copy
    terms = (
        "The images were fetched from the web addresses in the manifest's column url. Each belongs to its owner, under "
        "the terms of the page that shows it. ImageNet's terms of access (https://image-net.org/download) allow "
        "non-commercial research and education only."
    )

    def __init__(self, list: str | Sequence[str]) -> None:  # noqa: A002  the config key is source.list
        """`list`: one location (path, http, https) or several, tried in order."""
        self._locations = [list] if isinstance(list, str) else [*list]
        self._index: ListIndex | None = None

    @property
    def identity(self) -> str:
        return f"urls/{self._open_index.fingerprint}"

    def open(self, wnids: Sequence[str], context: SourceContext) -> None:
        self._context = context
        self._index = self._first_usable(wnids, context)

    def _first_usable(self, wnids: Sequence[str], context: SourceContext) -> ListIndex:
        """The index of the first usable list. Raises SourceError with what is wrong with each of them."""
        errors: list[SourceError] = []
        for location in self._locations:
            if errors:
                log.warning("%s; trying %s", errors[-1], location)
            try:
                return _require_usable(_require_not_page(_local_copy(location, context), location), wnids, context)
            except SourceError as error:
                errors.append(error)
        official = any("image-net.org" in location for location in self._locations)
        message = "; ".join(map(str, errors)) + (f"; {_COPIES_HINT}" if official else "")
        raise (OutOfReachError if all(isinstance(one, OutOfReachError) for one in errors) else SourceError)(message)

    def candidates(self, wnid: str) -> Iterator[Candidate]:
        return candidates_in_order(self._context.sampling, wnid, self._open_index.pairs(wnid))

    def read(self, candidate: Candidate) -> ReadSteps:
        """Request the URL, then its other forms (http.url_templates). Without an image, the first response counts."""
        if not candidate.url:
            return Rejected(Reason.MISSING)
        http = self._context.http
        first: FetchedImage | Rejected | None = None
        for url in url_forms.url_variants(candidate.url, http.url_templates):
            if first is not None and _is_pointless(url, candidate.url, first):
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
            raise SourceError("the list is not open: call open() first")
        return self._index


def _is_image(image: FetchedImage) -> bool:
    """Whether the response may be the image; if not (a page, a placeholder), other forms of the URL are requested."""
    return sniff(image.data) is not None and "photo_unavailable" not in image.final_url


def _is_pointless(url: str, original: str, first: FetchedImage | Rejected) -> bool:
    """Whether a request over https cannot help, because the host has answered the same URL over http."""
    is_same = url.partition("://")[2] == original.partition("://")[2]
    return is_same and not (isinstance(first, Rejected) and first.reason in _HTTPS_MAY_HELP)


def _local_copy(location: str, context: SourceContext) -> Path:
    """The list as a local file; a remote one is downloaded once and kept beside the index."""
    if not is_url(location):
        path = Path(location).expanduser()
        if path.is_dir():
            raise OutOfReachError(f"{location} is a folder, not a list; set source.list= to a file in it")
        if not path.is_file():
            raise OutOfReachError(f"there is no list {location}; set source.list= to the path or address of one")
        return path
    name = urlsplit(location).path.rpartition("/")[2] or "list"
    digest = hashlib.sha256(location.encode()).hexdigest()[:12]
    to = context.index / "lists" / f"{digest}-{re.sub(r'[^A-Za-z0-9._-]', '_', name)[-80:]}"
    return download(location, to, context.http, DownloadProgress(location), max_bytes=MAX_LIST_BYTES)


def _require_not_page(file: Path, location: str) -> Path:
    """Return the file. Raises OutOfReachError for a web page that was saved in place of a list."""
    try:
        with file.open("rb") as opened:
            has_page = is_page(opened.read(HEAD))
    except OSError as error:
        raise OutOfReachError(f"cannot read the list {location}: {error.strerror}") from error
    if has_page:
        raise OutOfReachError(f"{location} is a web page, not a list")
    return file


def _require_usable(list_file: Path, wnids: Sequence[str], context: SourceContext) -> ListIndex:
    """The index of a list. Raises SourceError if it is not a list, OutOfReachError if it has none of the classes."""
    from imagenet_nk.sources.urls.list_stream import chunks

    index = _open_or_build(list_file, wnids, context.index)
    if any(index.pairs(wnid) for wnid in wnids):
        return index
    counts = ", ".join(f"{name} {count:,}" for name, count in index.counts.items() if count)
    index.close()
    first_line = bytes(next(chunks(list_file)))[:80].partition(b"\n")[0].decode(errors="replace").strip()
    unusable = sum(count for name, count in index.counts.items() if name != "lines")
    is_valid_list = index.counts["lines"] > unusable  # but of other classes
    raise (OutOfReachError if is_valid_list else SourceError)(
        f"{list_file} has no usable line `n########_...<TAB>url` of a wanted class ({first_few(wnids, 3)}): {counts}; "
        f"it begins with {first_line!r}"
    )


def _open_or_build(list_file: Path, wnids: Sequence[str], folder: Path) -> ListIndex:
    """The saved index of this list and these classes; it is built if there is none.

    The 1000 classes of ILSVRC2012 are always indexed, and URLs that occur in two of these are left out. So the URLs of
    a class do not depend on which other classes are wanted, and another choice among the 1000 uses the same index.
    """
    from imagenet_nk.sources.urls.list_index import ListIndex, build
    from imagenet_nk.sources.urls.list_stream import chunks

    reference = clsloc_wnids()
    wnids = sorted({*wnids, *reference})
    stat = list_file.stat()
    key = f"{INDEX_VERSION}\n{list_file.resolve()}\n{stat.st_size}\n{stat.st_mtime_ns}\n{','.join(wnids)}"
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
