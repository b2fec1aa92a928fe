"""The members of a tar of which only parts have been read. Pure.

Offsets count from the beginning of the tar and are multiples of 512. In a *run* every header is known; between two runs
lies a gap.
"""

from __future__ import annotations

import tarfile
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass

from imagenet_nk.formats import tar_headers
from imagenet_nk.formats.tar_headers import BLOCK, Header


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a tar, with the offset of its header."""

    start: int
    header: Header
    full_name: str = ""  # from the extension headers before it, where there are any

    @property
    def stem(self) -> str | None:
        """The file name without folder and extension; None if the path leads out of the tar or is empty."""
        return tar_headers.stem(self.full_name or self.header.name)

    @property
    def end(self) -> int:
        """Offset behind its last byte, without padding."""
        return self.start + BLOCK + self.header.size


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch [first, limit) in which no header is known."""

    first: int
    limit: int
    starts_with_header: bool  # the size in the header before it says so


class MemberMap:
    """The members of one tar, as far as they have been read."""

    def __init__(self, length: int) -> None:
        self.length = length // BLOCK * BLOCK
        self._run_starts: list[int] = []  # sorted; runs do not touch
        self._run_ends: list[int] = []
        self._next_headers = {0}  # offsets behind the last header of each piece that was read
        self._starts: list[int] = []
        self._members: dict[int, Member] = {}
        self.has_end_mark = False  # whether the zeros that end a tar have been read; without them it is truncated

    @property
    def members(self) -> list[Member]:
        """In the order of the tar."""
        return [self._members[start] for start in self._starts]

    @property
    def starts(self) -> Sequence[int]:
        """Of the known members, in the order of the tar."""
        return self._starts

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def is_complete(self) -> bool:
        return (self._run_starts == [0] and self._run_ends == [self.length]) or not self.length

    def seek(self, position: int) -> Member | Gap | None:
        """The member that starts at or after a position, or the Gap that may hold it; behind the last one, the first.

        None if the tar has no member at all.
        """
        at = tar_headers.padded(position)
        for start in (at if at < self.length else 0, 0):
            gap = self.gap_at(start)
            i = bisect_left(self._starts, start)
            if i < len(self._starts) and (gap is None or self._starts[i] < gap.first):
                return self._members[self._starts[i]]
            if gap is not None:
                return gap
        return None

    def gap_at(self, position: int) -> Gap | None:
        """The first gap at or after a block-aligned position; None if everything behind it is known."""
        run = bisect_right(self._run_starts, position) - 1
        first = max(position, self._run_ends[run]) if run >= 0 else position
        if first >= self.length:
            return None
        limit = self._run_starts[run + 1] if run + 1 < len(self._run_starts) else self.length
        return Gap(first, limit, first in self._next_headers)

    def ingest(self, gap: Gap, data: bytes) -> list[Member]:
        """Note the headers in `data`, which was read from `gap.first` on; returns the members that are new.

        Where a header should be and is not, the size before it was wrong: the search goes on behind that place.
        """
        at, new = 0, []
        if gap.first + len(data) >= self.length and data.endswith(tar_headers.END_MARK):
            self.has_end_mark = True
        if gap.starts_with_header and tar_headers.is_end(data):
            self.has_end_mark = True
            self._add_run(gap.first, self.length)
            return []
        header = tar_headers.parse(data[:BLOCK]) if gap.starts_with_header else None
        if header is None or not self._fits(gap.first, header):
            at, header = self._find_header(gap.first, data)
        while header is not None:
            start = gap.first + at
            if header.kind not in (tarfile.DIRTYPE, tarfile.XGLTYPE) and not header.is_extension_header:
                new += self._add(Member(start, header))
            at += header.total_size
            header = tar_headers.parse(data[at : at + BLOCK]) if at + BLOCK <= len(data) else None
            if header is not None and not self._fits(gap.first + at, header):
                header = None
            if header is None:
                self._next_headers.add(gap.first + at)
        if at and tar_headers.is_end(data[at : at + BLOCK]):
            self.has_end_mark = True
            at = self.length - gap.first
        self._add_run(gap.first, min(gap.first + (at or len(data) // BLOCK * BLOCK), self.length))
        return new

    def holds_header(self, gap: Gap, data: bytes) -> bool:
        """Whether data read from the beginning of a gap contains the header that is looked for."""
        if gap.starts_with_header:
            header = tar_headers.parse(data[:BLOCK])
            return header is not None and self._fits(gap.first, header)
        return self._find_header(gap.first, data)[1] is not None

    def _find_header(self, first: int, data: bytes) -> tuple[int, Header | None]:
        at = 0
        while match := tar_headers.find(data, at):
            at, header = match
            if self._fits(first + at, header):
                return at, header
            at += BLOCK
        return 0, None

    def _fits(self, start: int, header: Header) -> bool:
        """Whether the member of a header at `start` ends within the tar."""
        return start + BLOCK + header.size <= self.length

    def _add(self, member: Member) -> list[Member]:
        if member.start in self._members:
            return []
        insort(self._starts, member.start)
        self._members[member.start] = member
        return [member]

    def _add_run(self, first: int, end: int) -> None:
        """Join [first, end) with the runs that it touches."""
        left = bisect_left(self._run_ends, first)
        right = bisect_right(self._run_starts, end)
        if left < right:
            first, end = min(first, self._run_starts[left]), max(end, self._run_ends[right - 1])
        self._run_starts[left:right], self._run_ends[left:right] = [first], [end]

    def to_json(self) -> dict[str, object]:
        """What from_json() takes."""
        members = [[m.start, m.header.size, m.header.name, m.header.kind.decode("latin-1")] for m in self.members]
        return {
            "length": self.length,
            "ended": self.has_end_mark,
            "runs": list(zip(self._run_starts, self._run_ends, strict=True)),
            "expected": sorted(self._next_headers),
            "members": members,
        }

    @classmethod
    def from_json(cls, state: dict[str, Sequence[Sequence[int]]]) -> MemberMap:
        """Raises KeyError, TypeError or ValueError for anything that to_json() does not give."""
        members = cls(int(state["length"]))  # type: ignore[call-overload]
        members._run_starts = [int(start) for start, _ in state["runs"]]
        members._run_ends = [int(end) for _, end in state["runs"]]
        members.has_end_mark = bool(state["ended"])
        members._next_headers = {int(offset) for offset in state["expected"]}  # type: ignore[call-overload]
        for start, size, name, kind in state["members"]:
            members._add(Member(int(start), Header(str(name), int(size), str(kind).encode("latin-1"))))
        return members
