"""What is known of the members of a tar of which only pieces have been read. Pure.

Offsets count from the tar's own beginning and stand on 512-byte blocks. A *run* is a stretch in which every header is
known; between runs anything may stand.
"""

from __future__ import annotations

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
    whole_name: str = ""  # where headers before it give one

    @property
    def stem(self) -> str | None:
        """The file name without folder and extension; None for a name that leads elsewhere, or is none."""
        return tar_headers.stem(self.whole_name or self.header.name)

    @property
    def end(self) -> int:
        """Offset behind its last byte, padding left out."""
        return self.start + BLOCK + self.header.size


@dataclass(frozen=True, slots=True)
class Gap:
    """Where to read on: no header in [first, limit) is known."""

    first: int
    limit: int
    exact: bool  # a header must stand at `first`


class MemberMap:
    """The members of one tar, as far as they have been seen."""

    def __init__(self, length: int) -> None:
        self.length = length // BLOCK * BLOCK
        self._firsts: list[int] = []  # of the runs, sorted; runs do not touch
        self._ends: list[int] = []
        self._expected = {0}  # where the header before says that one stands
        self._starts: list[int] = []
        self._members: dict[int, Member] = {}
        self.ended = False  # whether the zeros that end a tar have been seen: else it may have been cut short

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
    def complete(self) -> bool:
        return (self._firsts == [0] and self._ends == [self.length]) or not self.length

    def seek(self, position: int) -> Member | Gap | None:
        """The member that starts at or after a position, past the last one the first; a Gap if one has to look there.

        None if it is known that there is no member at all.
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
        """What has not been read at a block-aligned position or next after it; None if all behind it has."""
        run = bisect_right(self._firsts, position) - 1
        first = max(position, self._ends[run]) if run >= 0 else position
        if first >= self.length:
            return None
        limit = self._firsts[run + 1] if run + 1 < len(self._firsts) else self.length
        return Gap(first, limit, first in self._expected)

    def at(self, start: int) -> Member | None:
        """The known member that starts there."""
        return self._members.get(start)

    def learn(self, gap: Gap, data: bytes) -> list[Member]:
        """Note the headers in `data`, which was read from `gap.first` on; returns the members that were not known.

        A header that a size points to but that is not there means that the size lied: the search begins anew behind it.
        """
        at, new = 0, []
        if gap.first + len(data) >= self.length and data.endswith(tar_headers.END_MARK):
            self.ended = True
        if gap.exact and tar_headers.is_end(data):
            self.ended = True
            self._cover(gap.first, self.length)
            return []
        header = tar_headers.parse(data[:BLOCK]) if gap.exact else None
        if header is None or not self.fits(gap.first, header):
            at, header = self._search(gap.first, data)
        while header is not None:
            start = gap.first + at
            if header.kind != b"5" and not header.is_prefix and header.kind != b"g":
                new += self._note(Member(start, header))
            at += header.span
            header = tar_headers.parse(data[at : at + BLOCK]) if at + BLOCK <= len(data) else None
            if header is not None and not self.fits(gap.first + at, header):
                header = None
            if header is None:
                self._expected.add(gap.first + at)
        if at and tar_headers.is_end(data[at : at + BLOCK]):
            self.ended = True
            at = self.length - gap.first
        self._cover(gap.first, min(gap.first + (at or len(data) // BLOCK * BLOCK), self.length))
        return new

    def speaks(self, gap: Gap, data: bytes) -> bool:
        """Whether data read from the gap on holds the header that is looked for."""
        if gap.exact:
            header = tar_headers.parse(data[:BLOCK])
            return header is not None and self.fits(gap.first, header)
        return self._search(gap.first, data)[1] is not None

    def _search(self, first: int, data: bytes) -> tuple[int, Header | None]:
        at = 0
        while found := tar_headers.find(data, at):
            at, header = found
            if self.fits(first + at, header):
                return at, header
            at += BLOCK
        return 0, None

    def fits(self, start: int, header: Header) -> bool:
        """Whether the member of a header at `start` ends within the tar."""
        return start + BLOCK + header.size <= self.length

    def _note(self, member: Member) -> list[Member]:
        if member.start in self._members:
            return []
        insort(self._starts, member.start)
        self._members[member.start] = member
        return [member]

    def _cover(self, first: int, end: int) -> None:
        """Join [first, end) with the runs that it touches."""
        left = bisect_left(self._ends, first)
        right = bisect_right(self._firsts, end)
        if left < right:
            first, end = min(first, self._firsts[left]), max(end, self._ends[right - 1])
        self._firsts[left:right], self._ends[left:right] = [first], [end]

    def state(self) -> dict[str, object]:
        """For a JSON file."""
        members = [[m.start, m.header.size, m.header.name, m.header.kind.decode("latin-1")] for m in self.members]
        runs = list(zip(self._firsts, self._ends, strict=True))
        known = {"length": self.length, "ended": self.ended, "runs": runs}
        return {**known, "expected": sorted(self._expected), "members": members}

    @classmethod
    def restored(cls, state: dict[str, Sequence[Sequence[int]]]) -> MemberMap:
        """From what state() gave. Raises KeyError, TypeError or ValueError for anything else."""
        known = cls(int(state["length"]))  # type: ignore[call-overload]
        known._firsts, known._ends = [int(a) for a, _ in state["runs"]], [int(b) for _, b in state["runs"]]
        known.ended = bool(state["ended"])
        known._expected = {int(offset) for offset in state["expected"]}  # type: ignore[call-overload]
        for start, size, name, kind in state["members"]:
            known._note(Member(int(start), Header(str(name), int(size), str(kind).encode("latin-1"))))
        return known
