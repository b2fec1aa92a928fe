"""The index of an archive, kept beside the data set: where the tar of each class lies, and which members are known."""

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

_FORMAT = 3


@dataclass
class ClassIndex:
    """The tars of the classes; offsets count from the beginning of the file that holds them."""

    version: str = ""  # of the file that was indexed
    next: int = 0  # offset of the outer header to read next
    is_complete: bool = False  # whether this run has reached the end of the outer tar; not saved
    tars: dict[str, tuple[int, MemberMap]] = field(default_factory=dict)  # by class: offset, members
    versions: dict[str, str] = field(default_factory=dict)  # of the classes' own files, where each has one
    unreadable: list[str] = field(default_factory=list)  # classes whose tar is none

    @classmethod
    def load(cls, path: Path) -> ClassIndex:
        """The saved index; an empty one if there is none or it cannot be read."""
        try:
            state = json.loads(files.read_regular(path))
            tars = {
                wnid: (int(offset), MemberMap.from_json(members)) for wnid, (offset, members) in state["tars"].items()
            }
            versions, unreadable = dict(state["versions"]), list(state["unreadable"])
            return cls(state["version"], int(state["next"]), tars=tars, versions=versions, unreadable=unreadable)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            return cls()

    def clear(self) -> None:
        """Forget everything but the version."""
        self.next, self.is_complete = 0, False
        self.tars.clear()
        self.versions.clear()
        self.unreadable.clear()

    def save(self, path: Path) -> None:
        """Write the file atomically. Raises SourceError."""
        tars = {wnid: (offset, members.to_json()) for wnid, (offset, members) in self.tars.items()}
        state = {**vars(self), "tars": tars}
        del state["is_complete"]
        try:
            files.write_text(path, json.dumps(state, separators=(",", ":")))
        except OSError as error:
            raise SourceError(
                f"cannot write {path}: {error.strerror}; free space or choose another dataset.dir"
            ) from error


def index_path(folder: Path, location: str) -> Path:
    """Where the index of a location is kept."""
    return folder / f"archive-{hashlib.sha256(f'{_FORMAT} {location}'.encode()).hexdigest()[:16]}.json"


def map_from_head(length: int, head: bytes) -> MemberMap:
    """The members of a tar as far as its first block shows them."""
    members = MemberMap(length)
    if len(head) >= BLOCK and members.length:
        members.ingest(Gap(0, members.length, starts_with_header=True), head[:BLOCK])
    return members


def reject_gzip(head: bytes, location: str) -> None:
    """Raise SourceError for a gzip'ed tar, in which nothing can be found without unpacking all that comes before it."""
    if head.startswith(GZIP):
        raise SourceError(f"{location} is gzip'ed, so it cannot be read in pieces; unpack it first: gunzip")
