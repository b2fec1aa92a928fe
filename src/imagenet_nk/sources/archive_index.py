"""Where in an archive the tar of each class lies, and what has been seen of it; kept beside the data set."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from imagenet_nk import storage
from imagenet_nk.errors import SourceError
from imagenet_nk.sources import tarscan
from imagenet_nk.sources.members import Gap, Known
from imagenet_nk.sources.ranges import Place
from imagenet_nk.sources.tarscan import BLOCK

log = logging.getLogger(__name__)

HEAD = 2 * BLOCK  # the header of a class's tar and, behind it, that of its first member
_FORMAT = 1
_CLASS_TAR = re.compile(r"(?:\./)?(?:[\w.-]+/)*(n\d{8})\.tar\Z")
_GZIP = b"\x1f\x8b"


@dataclass
class Index:
    """The spans of an archive by class; offsets count from the beginning of the class's file."""

    version: str = ""  # of the file that was indexed
    next: int = 0  # offset of the outer header to read next
    complete: bool = False  # whether the outer tar has been read to its end
    spans: dict[str, tuple[int, Known]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)  # of the classes' own files, where each has one

    @classmethod
    def load(cls, file: Path) -> Index:
        """The kept index; an empty one if there is none, or none that can be read."""
        try:
            state = json.loads(file.read_text(encoding="utf-8"))
            spans = {wnid: (int(offset), Known.restored(known)) for wnid, (offset, known) in state["spans"].items()}
            return cls(state["version"], int(state["next"]), bool(state["complete"]), spans, dict(state["versions"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls()

    def save(self, file: Path) -> None:
        """Write it whole under its name. Raises SourceError."""
        spans = {wnid: (offset, known.state()) for wnid, (offset, known) in self.spans.items()}
        state = {**vars(self), "spans": spans}
        try:
            storage.write_text(file, json.dumps(state, separators=(",", ":")))
        except OSError as error:
            raise SourceError(
                f"cannot write {file}: {error.strerror}; free space or choose another dataset.dir"
            ) from error


def file_of(folder: Path, what: str) -> Path:
    """Where the index of a location is kept."""
    return folder / f"archive-{hashlib.sha256(f'{_FORMAT} {what}'.encode()).hexdigest()[:16]}.json"


def hop(index: Index, place: Place, wanted: Iterable[str], keep: Callable[[], None]) -> None:
    """Read outer headers, one small read for each class, until all wanted classes are found or the tar ends.

    Raises SourceError for a file that is no tar of tars. `keep` is called now and then, and when it ends.
    """
    missing = set(wanted) - set(index.spans)
    told = time.monotonic()
    try:
        while missing and not index.complete:
            found = _outer(index, place)
            missing.discard(found)
            if time.monotonic() - told > 5:
                told = time.monotonic()
                log.info("%s: %d classes found, %d of the wanted to go", place.location, len(index.spans), len(missing))
                keep()
    finally:
        keep()
    if not index.spans:
        raise SourceError(f"{place.location} holds no <wnid>.tar; source.train takes ILSVRC2012_img_train.tar")


def _outer(index: Index, place: Place) -> str:
    """Note the class tar at index.next, if there is one there, and go on behind it; returns its WNID or ""."""
    at = index.next
    head = place.read(at, at + HEAD - 1) if at < place.size else b""
    refuse_packed(head if not at else b"", place.location)
    header = tarscan.parse(head)
    if header is None:
        if at and (tarscan.is_end(head) or not head):
            index.complete = True
            return ""
        what = "is no tar" if not at else f"has no tar header at byte {at:,}; it is damaged or cut short"
        raise SourceError(f"{place.location} {what}; fetch it again or check source.train")
    index.next = at + header.span
    match = _CLASS_TAR.match(header.name)
    if not match or not header.is_file:
        return ""
    start = at + BLOCK
    if start + header.size > place.size:
        raise SourceError(f"{place.location} is cut short inside {header.name}; fetch it again")
    if tarscan.parse(head[BLOCK:]):
        index.spans[match[1]] = (start, first_known(header.size, head[BLOCK:]))
    else:
        log.warning("%s: %s is no tar; the class is left out", place.location, header.name)
    return match[1]


def first_known(length: int, head: bytes) -> Known:
    """What the first block of a tar tells of it."""
    known = Known(length)
    if len(head) >= BLOCK and known.length:
        known.learn(Gap(0, known.length, exact=True), head[:BLOCK])
    return known


def refuse_packed(head: bytes, location: str) -> None:
    """Raise SourceError for a gzip'ed tar: nothing in it can be found without unpacking all before it."""
    if head[:2] == _GZIP:
        raise SourceError(f"{location} is gzip'ed, so it cannot be read in pieces; unpack it first: gunzip")
