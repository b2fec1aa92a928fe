"""Members of one tar that lies somewhere in a file, read by position or by name, with few and small reads.

The steps of all candidates of a tar run on one thread (the scheduler's); what one of them reads serves the others.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from typing import Any

from imagenet_nk.errors import ContradictionError
from imagenet_nk.formats.tar_headers import BLOCK, full_name, padded, parse
from imagenet_nk.net.http import Request
from imagenet_nk.reasons import Reason, Rejected
from imagenet_nk.sources.archive.member_map import Gap, Member, MemberMap
from imagenet_nk.sources.archive.name_search import NameIndex
from imagenet_nk.sources.archive.ranged_file import RangeReadable, RangeSteps
from imagenet_nk.sources.contract import TRY_AGAIN, BlockingCall

_MAX_READS = 64  # for one candidate; a window that doubles gets through any tar with fewer
_EXTENSION_BYTES = 16 * BLOCK  # before a member, for the headers that give its full name
_MAX_HEADERS = 4000  # read one after the other for one name
_READ_AHEAD = ((4096, 1.35), (16 * 1024, 1.5), (float("inf"), 1.8))  # up to a mean member of so many bytes: members
_TYPICAL_SIZE = 112 * 1024  # bytes of a member, until some are known: the mean of ILSVRC2012

MemberSteps = Generator[Request | BlockingCall, Any, "tuple[Member, bytes] | Rejected"]


@dataclass
class MemberSizes:
    """Mean size of the members seen in all tars of an archive: how much to read to get a whole one."""

    total: int = 0
    count: int = 0

    def note(self, size: int) -> None:
        self.total += padded(size) + BLOCK
        self.count += 1

    @property
    def read_ahead(self) -> float:
        """Mean members to read from a drawn position, from which the end of the next member is about 1.7 away.

        More saves requests, less saves bytes; small members have more bytes in headers and padding already.
        """
        return next(share for limit, share in _READ_AHEAD if self._mean < limit)

    @property
    def _mean(self) -> float:
        return self.total / self.count if self.count else _TYPICAL_SIZE

    def window(self, share: float) -> int:
        """Bytes of about `share` mean members with their headers, in whole blocks."""
        return max(BLOCK, round(share * self._mean / BLOCK) * BLOCK)


class TarReader:
    """One tar: `members.length` bytes from `offset` on in `file`."""

    def __init__(
        self,
        file: RangeReadable,
        offset: int,
        members: MemberMap,
        sizes: MemberSizes,
        key_of: Callable[[Member], str],
        max_bytes: int,
    ) -> None:
        """`key_of`: what a member is looked up by; `max_bytes`: a larger member is rejected."""
        self.file, self.offset, self.members, self.sizes = file, offset, members, sizes
        self._max_bytes = max_bytes
        self._in_flight: set[int] = set()  # where reads in flight begin: no use to read on into them
        self._key_of = key_of
        self._names = NameIndex(key_of)
        self._full_names: dict[int, Member | None] = {}  # by offset, of members whose name in the header is truncated
        self._note(members.members)

    def _note(self, members: Iterable[Member]) -> None:
        for member in members:
            self._names.note(member)
            if member.header.size <= self._max_bytes:
                self.sizes.note(member.header.size)

    def read_at(self, position: int, is_repeat: Callable[[Member], bool] = lambda _: False) -> MemberSteps:
        """The member that starts at or after a position with its data, unless an earlier draw has met it.

        Raises SourceError; ContradictionError if the bytes do not agree with what was read before.
        """
        window = (-1, b"")
        for count in range(_MAX_READS):
            member_at = self.members.seek(position)
            if member_at is None:
                return Rejected(Reason.NO_MEMBER)
            if isinstance(member_at, Member):
                return (
                    Rejected(Reason.REDRAWN)
                    if is_repeat(member_at)
                    else (yield from self._read_data(member_at, *window))
                )
            share = 1.25 if member_at.starts_with_header else self.sizes.read_ahead if not count else 2.0 ** (count - 1)
            window = yield from self._probe(member_at, share)
        return Rejected(Reason.NO_MEMBER)

    def _probe(self, gap: Gap, share: float) -> Generator[Request | BlockingCall, Any, tuple[int, bytes]]:
        """Read from the beginning of a gap until a header appears or another read begins, and note the members."""
        limit = min([gap.limit, *(first for first in self._in_flight if first > gap.first)])
        limit = min(limit, gap.first + padded(self._max_bytes))
        end = min(gap.first + self.sizes.window(share), limit)
        self._in_flight.add(gap.first)
        try:
            data = yield from self._read(gap.first, end)
            while not gap.starts_with_header and end < limit and not self.members.holds_header(gap, data):
                end = min(end + len(data), limit)
                data = yield from self._extend(gap.first, data, end)
        finally:
            self._in_flight.discard(gap.first)
        self._note(self.members.ingest(gap, data))
        return gap.first, data

    def _read(self, first: int, end: int) -> RangeSteps:
        """[first, end) of the tar."""
        return (yield from self.file.read_steps(self.offset + first, self.offset + end - 1))

    def _extend(self, first: int, data: bytes, end: int) -> RangeSteps:
        """`data`, which was read from `first` on, and what follows it up to `end`."""
        start = first + len(data)
        return data if end <= start else data + (yield from self._read(start, end))

    def _read_data(self, member: Member, first: int, window: bytes) -> MemberSteps:
        """The data of a member, as far as possible from the window that was read last, which begins at `first`."""
        full_member = yield from self._with_full_name(member)
        if full_member is None or full_member.stem is None or not member.header.is_file or not member.header.size:
            return Rejected(Reason.BAD_MEMBER)
        if member.header.size > self._max_bytes:
            return Rejected(Reason.TOO_MANY_BYTES)
        data = window[member.start - first :] if 0 <= first <= member.start < first + len(window) else b""
        data = yield from self._extend(member.start, data, member.end)
        if parse(data[:BLOCK]) != member.header:
            raise ContradictionError(
                f"{self.file.location}: sends other bytes than before for the same range; {TRY_AGAIN}"
            )
        return full_member, data[BLOCK : member.end - member.start]

    def _with_full_name(self, member: Member) -> Generator[Request | BlockingCall, Any, Member | None]:
        """The member with its full name, which may be in a header before it; None if that makes it no plain file.

        Only a name that looks truncated is worth the read.
        """
        if not member.header.name_truncated:
            return member
        if member.start not in self._full_names:
            data = yield from self._read(max(0, member.start - _EXTENSION_BYTES), member.start + BLOCK)
            name = full_name(data)
            self._full_names[member.start] = replace(member, full_name=name) if name else None
        return self._full_names[member.start]

    def read_by_name(self, key: str) -> MemberSteps:
        """The member with a key, found by bisecting if names are in order, else header by header.

        Raises SourceError, as read_at() does.
        """
        for count in range(_MAX_HEADERS):
            known_member = self._names.get(key)
            if known_member is not None:
                return (yield from self._read_data(known_member, -1, b""))
            gap = self._names.next_gap(key, self.members, self.sizes.window(1.0)) if count < _MAX_READS else None
            if gap := gap or self.members.gap_at(0):
                yield from self._probe(gap, 0.0 if gap.starts_with_header else 0.75)
            else:
                break
        for member in self.members.members:
            if (full_member := (yield from self._with_full_name(member))) and self._key_of(full_member) == key:
                return (yield from self._read_data(full_member, -1, b""))
        return Rejected(Reason.UNLISTED if self.is_truncated else Reason.MISSING)

    @property
    def is_truncated(self) -> bool:
        """Whether all of the tar has been read and it has no end mark."""
        return self.members.is_complete and not self.members.has_end_mark
