"""Where in an archive the tar of each class lies, and what has been seen of it; kept beside the data set."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from imagenet_nk.errors import SourceError
from imagenet_nk.formats.magic import GZIP
from imagenet_nk.formats.tar_headers import BLOCK
from imagenet_nk.sources.archive.member_map import Gap, MemberMap
from imagenet_nk.storage import files

_FORMAT = 2


@dataclass
class Index:
    """The spans of an archive by class; offsets count from the beginning of the class's file."""

    version: str = ""  # of the file that was indexed
    next: int = 0  # offset of the outer header to read next
    complete: bool = False  # whether this run has met the outer tar's end; not kept, as it may be a lie
    spans: dict[str, tuple[int, MemberMap]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)  # of the classes' own files, where each has one
    odd: dict[str, int] = field(default_factory=dict)  # by class, offset of the outer header of what looked like no tar

    @classmethod
    def load(cls, file: Path) -> Index:
        """The kept index; an empty one if there is none, or none that can be read."""
        try:
            state = json.loads(file.read_text(encoding="utf-8"))
            spans = {wnid: (int(offset), MemberMap.restored(known)) for wnid, (offset, known) in state["spans"].items()}
            versions, odd = dict(state["versions"]), {wnid: int(at) for wnid, at in state["odd"].items()}
            return cls(state["version"], int(state["next"]), spans=spans, versions=versions, odd=odd)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls()

    def forget(self) -> None:
        """Know nothing of the file any more but its version."""
        self.next, self.complete = 0, False
        self.spans.clear()
        self.versions.clear()
        self.odd.clear()

    def save(self, file: Path) -> None:
        """Write it whole under its name. Raises SourceError."""
        spans = {wnid: (offset, known.state()) for wnid, (offset, known) in self.spans.items()}
        state = {**vars(self), "spans": spans}
        del state["complete"]
        try:
            files.write_text(file, json.dumps(state, separators=(",", ":")))
        except OSError as error:
            raise SourceError(
                f"cannot write {file}: {error.strerror}; free space or choose another dataset.dir"
            ) from error


def file_of(folder: Path, what: str) -> Path:
    """Where the index of a location is kept."""
    return folder / f"archive-{hashlib.sha256(f'{_FORMAT} {what}'.encode()).hexdigest()[:16]}.json"


def first_known(length: int, head: bytes) -> MemberMap:
    """What the first block of a tar tells of it."""
    known = MemberMap(length)
    if len(head) >= BLOCK and known.length:
        known.learn(Gap(0, known.length, exact=True), head[:BLOCK])
    return known


def refuse_packed(head: bytes, location: str) -> None:
    """Raise SourceError for a gzip'ed tar: nothing in it can be found without unpacking all before it."""
    if head.startswith(GZIP):
        raise SourceError(f"{location} is gzip'ed, so it cannot be read in pieces; unpack it first: gunzip")
