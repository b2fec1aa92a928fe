"""Finding the tar of each class in a tar of tars: outer headers, hopped over one after the other, in 16 places at once.

A stretch that is begun in the middle counts only where the walk from the beginning meets its first header exactly: a
JPEG may hold bytes that look like a header.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from imagenet_nk.errors import SourceError
from imagenet_nk.formats import tar_headers
from imagenet_nk.formats.tar_headers import BLOCK, Header
from imagenet_nk.sources.archive.class_index import Index, first_known, refuse_packed
from imagenet_nk.sources.archive.ranged_file import HttpFile, RangeReadable

log = logging.getLogger(__name__)

WALKS = 16  # at once
_HEAD = 2 * BLOCK  # the header of a class's tar and, behind it, that of its first member
_CLASS_TAR = re.compile(r"(?:\./)?(?:[\w.-]+/)*(n\d{8})\.tar\Z")
_OF_CLASS = re.compile(r"(?:.*/)?(n\d{8})[_.]")  # a class's tar, or a member of one
_WINDOW = 1 << 18  # bytes in which a header is met nearly always
_WORTH = 200  # missing classes; for fewer, what finding the stretches reads is too much beside the images
_MOST_PADDING = 1 << 20  # bytes of zeros at a tar's end; GNU tar fills up 10,240, who asks for more gets more
_LARGE = 100  # windows between two places


class _NoHeaderError(SourceError):
    """There is no header where the headers so far say that there is one."""


def hop(index: Index, place: RangeReadable, wanted: Sequence[str], keep: Callable[[], None]) -> None:
    """Read outer headers, one small read for each class, until all wanted classes are found or the tar ends.

    Where many are wanted of a large tar on a server, from several places at once. An index that an earlier run left and
    that leads to no header is dropped, and all is read anew: what it was made of may have been lies.

    Raises SourceError for a file that is no tar of tars. `keep` is called now and then, and when it ends.
    """
    is_ours = not index.next
    try:
        _hop(index, place, wanted, keep)
    except _NoHeaderError as error:
        index.forget()
        keep()
        if is_ours:
            raise
        log.warning("%s; it does not fit what an earlier run saw, and is indexed anew", error)
        hop(index, place, wanted, keep)


def _hop(index: Index, place: RangeReadable, wanted: Sequence[str], keep: Callable[[], None]) -> None:
    for wnid in set(wanted) & index.odd.keys():  # by a read in an earlier run
        _class_tar(index, place, wnid, index.odd.pop(wnid))
    missing = set(wanted) - set(index.spans)
    told = time.monotonic()
    ahead = _ahead(index, place) if len(missing) >= _WORTH and isinstance(place, HttpFile) else {}
    try:
        while missing and not index.complete:
            if met := ahead.pop(index.next, None):
                index.spans |= met.spans
                index.odd |= met.odd
                index.next, index.complete = met.next, met.complete
                missing -= met.spans.keys() | met.odd.keys()
            else:
                missing.discard(_outer(index, place))
            if time.monotonic() - told > 5:
                told = time.monotonic()
                log.info("%s: %d classes found, %d of the wanted to go", place.location, len(index.spans), len(missing))
                keep()
    finally:
        keep()
    if not index.spans and not index.odd:
        raise SourceError(f"{place.location} holds no <wnid>.tar; source.train takes ILSVRC2012_img_train.tar")


def _outer(index: Index, place: RangeReadable) -> str:
    """Note the class tar at index.next, if there is one there, and go on behind it; returns its WNID or ""."""
    at = index.next
    head = place.read(at, at + _HEAD - 1) if at < place.size else b""
    refuse_packed(head if not at else b"", place.location)
    header = tar_headers.parse(head)
    if header is None:
        if at and (tar_headers.is_end(head) or not head):
            index.complete = True
            if place.size - at > _MOST_PADDING:
                log.warning(
                    "%s has zeros from byte %d on, and %d bytes behind that: it is damaged, or cut",
                    *(place.location, at, place.size - at),
                )
            return ""
        what = "is no tar" if not at else f"has no tar header at byte {at:,}; it is damaged or cut short"
        raise _NoHeaderError(f"{place.location} {what}; fetch it again or check source.train")
    index.next = at + header.span
    match = _CLASS_TAR.match(header.name)
    if not match or not header.is_file:
        return ""
    if at + BLOCK + header.size > place.size:
        raise _NoHeaderError(f"{place.location} is cut short inside {header.name}; fetch it again")
    if tar_headers.parse(head[BLOCK:]):
        index.spans[match[1]] = (at + BLOCK, first_known(header.size, head[BLOCK:]))
    else:
        _class_tar(index, place, match[1], at)
    return match[1]


def _class_tar(index: Index, place: RangeReadable, wnid: str, at: int) -> None:
    """Note a class's tar by its outer header's offset, read once more: that it is none may have been a lie."""
    head = place.read(at, at + _HEAD - 1)
    outer = tar_headers.parse(head)
    if outer and tar_headers.parse(head[BLOCK:]):
        index.spans[wnid] = (at + BLOCK, first_known(outer.size, head[BLOCK:]))
    else:
        index.odd[wnid] = at
        log.warning("%s: %s.tar is no tar; the class is left out", place.location, wnid)


def _ahead(index: Index, place: RangeReadable) -> dict[int, Index]:
    """What walks from several places find, by the offset of their first header, each up to the next one's beginning."""
    step = (place.size - index.next) // WALKS
    if step < _LARGE * _WINDOW:
        return {}
    with ThreadPoolExecutor(WALKS) as pool:
        places = range(index.next + step, place.size, step)
        found = pool.map(partial(_begun, place), places)
        starts = sorted({index.next, *(start for start in found if start is not None)})
        walks = pool.map(partial(_walk, place, index.version), starts, [*starts[1:], place.size])
        return {start: walk for start, walk in zip(starts, walks, strict=True) if walk.next > start}


def _walk(place: RangeReadable, version: str, start: int, stop: int) -> Index:
    """The outer headers in [start, stop), as far as there are such."""
    walk = Index(version, start)
    try:
        while walk.next < stop and not walk.complete:
            _outer(walk, place)
    except SourceError as error:  # if it matters, the walk from the beginning meets it too
        log.debug("%s: from byte %d on: %s", place.location, walk.next, error)
    return walk


def _begun(place: RangeReadable, position: int) -> int | None:
    """Where a walk may begin behind a position; None if no such place is found, or the server fails."""
    try:
        return _next_class(place, position)
    except SourceError as error:
        log.debug("%s: behind byte %d: %s", place.location, position, error)
        return None


def _next_class(place: RangeReadable, position: int) -> int | None:
    """Where the header of the next class's tar seems to be, found by bisecting."""
    low = tar_headers.padded(position)
    own = _class_at(place, low)
    step = _WINDOW
    while (high := low + step) < place.size and _class_at(place, high) == own:
        low, step = high, 2 * step
    while high - low > _WINDOW:
        middle = tar_headers.padded((low + high) // 2)
        if _class_at(place, middle) == own:
            low = middle
        else:
            high = middle
    return next((low + at for at, header in _headers(place, low, 4 * _WINDOW) if _CLASS_TAR.match(header.name)), None)


def _class_at(place: RangeReadable, position: int) -> str:
    """The class that the next header at or after a position speaks of; "" if none is near."""
    for length in (_WINDOW, 4 * _WINDOW, 16 * _WINDOW):
        for _, header in _headers(place, position, length):
            if match := _OF_CLASS.match(header.name):
                return match[1]
    return ""


def _headers(place: RangeReadable, position: int, length: int) -> Iterator[tuple[int, Header]]:
    """What looks like a header in so many bytes, with its offset from the position."""
    data = place.read(position, min(position + length, place.size) - 1) if position < place.size else b""
    at = 0
    while found := tar_headers.find(data, at):
        yield found
        at = found[0] + BLOCK
