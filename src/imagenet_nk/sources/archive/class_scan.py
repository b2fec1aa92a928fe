"""Finding the tar of each class in a tar of tars: outer headers are read one after the other, in 16 places at once.

A scan that begins in the middle counts only if the scan from the beginning arrives exactly at its first header: a JPEG
may contain bytes that look like a header.
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
from imagenet_nk.sources.archive.class_index import ClassIndex, map_from_head, reject_gzip
from imagenet_nk.sources.archive.ranged_file import HttpFile, RangeReadable

log = logging.getLogger(__name__)

PARALLEL_SCANS = 16
_HEAD = 2 * BLOCK  # the header of a class's tar and, behind it, that of its first member
_CLASS_TAR = re.compile(r"(?:\./)?(?:[\w.-]+/)*(n[0-9]{8})\.tar\Z")
_CLASS_NAME = re.compile(r"(?:.*/)?(n[0-9]{8})[_.]")  # of a class's tar, or of a member of one
_WINDOW = 1 << 18  # bytes that nearly always contain a header
_MIN_CLASSES = 200  # missing; for fewer, parallel scans read too much beside the images
_MIN_WINDOWS = 100  # between two scans
_MAX_PADDING = 1 << 20  # bytes of zeros at a tar's end; GNU tar pads to 10,240
_CHECKPOINT_S = 5


class _NoHeaderError(SourceError):
    """There is no header where the headers so far say that there is one."""


def find_class_tars(
    index: ClassIndex, file: RangeReadable, wanted: Sequence[str], checkpoint: Callable[[], None]
) -> None:
    """Read outer headers, one small read for each class, until all wanted classes are found or the tar ends.

    If many are missing and the file is large and on a server, in several places at once. An index of an earlier run
    that leads to no header is discarded, and the scan restarts once.

    Raises SourceError for a file that is no tar of tars. `checkpoint` is called every few seconds and at the end.
    """
    is_new = not index.next
    try:
        _scan(index, file, wanted, checkpoint)
    except _NoHeaderError as error:
        index.clear()
        checkpoint()
        if is_new:
            raise
        log.warning("%s; the index of an earlier run does not fit this file: indexing it again", error)
        _scan(index, file, wanted, checkpoint)
    for wnid in set(wanted) & set(index.unreadable):
        log.warning("%s: %s.tar is no tar; the class is skipped", file.location, wnid)


def _scan(index: ClassIndex, file: RangeReadable, wanted: Sequence[str], checkpoint: Callable[[], None]) -> None:
    missing = set(wanted).difference(index.tars, index.unreadable)
    parallel = _parallel_scans(index, file) if len(missing) >= _MIN_CLASSES and isinstance(file, HttpFile) else {}
    logged = time.monotonic()
    try:
        while missing and not index.is_complete:
            if scan := parallel.pop(index.next, None):
                index.tars |= scan.tars
                index.unreadable += scan.unreadable
                index.next, index.is_complete = scan.next, scan.is_complete
            else:
                _read_header(index, file)
            missing.difference_update(index.tars, index.unreadable)
            if time.monotonic() - logged > _CHECKPOINT_S:
                logged = time.monotonic()
                log.info("%s: %d classes found, %d still missing", file.location, len(index.tars), len(missing))
                checkpoint()
    finally:
        checkpoint()
    if not index.tars and not index.unreadable:
        raise SourceError(f"{file.location} holds no <wnid>.tar; source.train takes ILSVRC2012_img_train.tar")


def _read_header(index: ClassIndex, file: RangeReadable) -> None:
    """Read the outer header at index.next, note the class tar if it is one, and go on behind it."""
    at = index.next
    head = file.read(at, at + _HEAD - 1) if at < file.size else b""
    reject_gzip(head if not at else b"", file.location)
    header = tar_headers.parse(head)
    if header is None:
        if not at or (head and not tar_headers.is_end(head)):
            problem = "is no tar" if not at else f"has no tar header at byte {at:,}; it is damaged or cut short"
            raise _NoHeaderError(f"{file.location} {problem}; fetch it again or check source.train")
        index.is_complete = True
        if file.size - at > _MAX_PADDING:
            log.warning(
                "%s ends in zeros at byte %d, with %d bytes behind that: it is damaged or cut short",
                *(file.location, at, file.size - at),
            )
        return
    index.next = at + header.total_size
    match = _CLASS_TAR.match(header.name)
    if not match or not header.is_file:
        return
    if at + BLOCK + header.size > file.size:
        raise _NoHeaderError(f"{file.location} is cut short inside {header.name}; fetch it again")
    if tar_headers.parse(head[BLOCK:]):
        index.tars[match[1]] = (at + BLOCK, map_from_head(header.size, head[BLOCK:]))
    else:
        index.unreadable.append(match[1])


def _parallel_scans(index: ClassIndex, file: RangeReadable) -> dict[int, ClassIndex]:
    """What scans from several places find, by the offset of their first header, each up to where the next begins."""
    step = (file.size - index.next) // PARALLEL_SCANS
    if step < _MIN_WINDOWS * _WINDOW:
        return {}
    with ThreadPoolExecutor(PARALLEL_SCANS) as pool:
        positions = range(index.next + step, file.size, step)
        resync_points = pool.map(partial(_resync_point, file), positions)
        starts = sorted({index.next, *(start for start in resync_points if start is not None)})
        scans = pool.map(partial(_scan_range, file, index.version), starts, [*starts[1:], file.size])
        return {start: scan for start, scan in zip(starts, scans, strict=True) if scan.next > start}


def _scan_range(file: RangeReadable, version: str, start: int, stop: int) -> ClassIndex:
    """The outer headers in [start, stop), up to the first that cannot be read."""
    scan = ClassIndex(version, start)
    try:
        while scan.next < stop and not scan.is_complete:
            _read_header(scan, file)
    except SourceError as error:  # if it matters, the scan from the beginning meets it too
        log.debug("%s: from byte %d on: %s", file.location, scan.next, error)
    return scan


def _resync_point(file: RangeReadable, position: int) -> int | None:
    """Where a scan may begin behind a position: what looks like the header of a class tar; None if none is found."""
    try:
        return _next_class_tar(file, position)
    except SourceError as error:
        log.debug("%s: behind byte %d: %s", file.location, position, error)
        return None


def _next_class_tar(file: RangeReadable, position: int) -> int | None:
    """The header of the next class's tar, found by bisecting on the class that nearby headers name."""
    low = tar_headers.padded(position)
    wnid = _class_at(file, low)
    step = _WINDOW
    while (high := low + step) < file.size and _class_at(file, high) == wnid:
        low, step = high, 2 * step
    while high - low > _WINDOW:
        middle = tar_headers.padded((low + high) // 2)
        if _class_at(file, middle) == wnid:
            low = middle
        else:
            high = middle
    return next((low + at for at, header in _headers(file, low, 4 * _WINDOW) if _CLASS_TAR.match(header.name)), None)


def _class_at(file: RangeReadable, position: int) -> str:
    """The class that the next header at or after a position names; "" if none is near."""
    for length in (_WINDOW, 4 * _WINDOW, 16 * _WINDOW):
        for _, header in _headers(file, position, length):
            if match := _CLASS_NAME.match(header.name):
                return match[1]
    return ""


def _headers(file: RangeReadable, position: int, length: int) -> Iterator[tuple[int, Header]]:
    """What looks like a header in so many bytes, with its offset from the position."""
    data = file.read(position, min(position + length, file.size) - 1) if position < file.size else b""
    at = 0
    while match := tar_headers.find(data, at):
        yield match
        at = match[0] + BLOCK
