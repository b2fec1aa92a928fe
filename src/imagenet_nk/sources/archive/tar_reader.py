"""Members of one tar that lies somewhere inside a file, by position or by name, with few and small reads.

Steps of all candidates of a span run on one thread (the collector's); what one of them learns serves the others.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from typing import Any

from imagenet_nk.errors import ContradictionError
from imagenet_nk.formats.tar_headers import BLOCK, padded, parse, whole_name
from imagenet_nk.net.http import Request
from imagenet_nk.reasons import Reason
from imagenet_nk.sources.archive.member_map import Gap, Member, MemberMap
from imagenet_nk.sources.archive.name_search import Names
from imagenet_nk.sources.archive.ranged_file import RangeReadable
from imagenet_nk.sources.contract import TRY_AGAIN, BlockingCall, Rejected

_MOST_READS = 64  # for one candidate; a doubling window gets through any tar with fewer
_LOOK_BACK = 16 * BLOCK  # for the headers that give a member its whole name
_MOST_HOPS = 4000  # headers walked for one name
_HOPEFUL = ((4096, 1.35), (16 * 1024, 1.5), (float("inf"), 1.8))  # by bytes of the mean member
_TYPICAL = 112 * 1024  # bytes of a member, until some are known: the mean of ILSVRC2012

_CHANGED = f"sends other bytes than before for one range; {TRY_AGAIN}"

MemberReading = Generator[Request | BlockingCall, Any, "tuple[Member, bytes] | Rejected"]
Bytes = Generator[Request | BlockingCall, Any, bytes]


@dataclass
class Sizes:
    """Mean size of the members seen in all spans of an archive: how much to read in the hope of a whole one."""

    total: int = 0
    count: int = 0

    def note(self, size: int) -> None:
        self.total += padded(size) + BLOCK
        self.count += 1

    @property
    def hopeful(self) -> float:
        """Mean members to read from a drawn position, where about 1.7 stand between it and the end of the next member.

        More saves requests, less saves bytes; of small members, headers and padding make more bytes already.
        """
        return next(share for most, share in _HOPEFUL if self._mean < most)

    @property
    def _mean(self) -> float:
        return self.total / self.count if self.count else _TYPICAL

    def window(self, share: float) -> int:
        """Whole blocks, about `share` times the mean member with its header."""
        return max(BLOCK, round(share * self._mean / BLOCK) * BLOCK)


class TarReader:
    """One tar: `known.length` bytes from `offset` on in `place`."""

    def __init__(
        self,
        place: RangeReadable,
        offset: int,
        known: MemberMap,
        sizes: Sizes,
        key_of: Callable[[Member], str],
        most_bytes: int,
    ) -> None:
        """`key_of`: what a member is looked up by; `most_bytes`: of a member, a larger one is rejected."""
        self.place, self.offset, self.known, self.sizes = place, offset, known, sizes
        self._most_bytes = most_bytes
        self._looking: set[int] = set()  # where readings in flight begin: no use to read on into them
        self._key_of = key_of
        self._names = Names(key_of)
        self._whole: dict[int, Member | None] = {}  # by offset, those whose own name looked cut
        self._note(known.members)

    def _note(self, members: Iterable[Member]) -> None:
        for member in members:
            self._names.note(member)
            if member.header.size <= self._most_bytes:
                self.sizes.note(member.header.size)

    def at(self, position: int, redrawn: Callable[[Member], bool] = lambda _: False) -> MemberReading:
        """The member that starts at or after a position, and its data unless it is drawn for the second time.

        Raises SourceError: a ContradictionError where what is read now does not go with what was read before.
        """
        window = (-1, b"")
        for count in range(_MOST_READS):
            found = self.known.seek(position)
            if found is None:
                return Rejected(Reason.NO_MEMBER)
            if isinstance(found, Member):
                return Rejected(Reason.REDRAWN) if redrawn(found) else (yield from self._data(found, *window))
            share = 1.25 if found.exact else self.sizes.hopeful if not count else 2.0 ** (count - 1)
            window = yield from self._look(found, share)
        return Rejected(Reason.NO_MEMBER)

    def _look(self, gap: Gap, share: float) -> Generator[Request | BlockingCall, Any, tuple[int, bytes]]:
        """Read on from a gap until a header shows or another reading begins, and note what that shows."""
        limit = min([gap.limit, *(first for first in self._looking if first > gap.first)])
        most = min(limit, gap.first + padded(self._most_bytes))
        end = min(gap.first + self.sizes.window(share), most)
        self._looking.add(gap.first)
        try:
            data = yield from self._read(gap.first, end)
            while not gap.exact and end < most and not self.known.speaks(gap, data):
                end = min(end + len(data), most)
                data = yield from self._read_on(gap.first, data, end)
        finally:
            self._looking.discard(gap.first)
        self._note(self.known.learn(gap, data))
        return gap.first, data

    def _read(self, first: int, end: int) -> Bytes:
        """[first, end) of the span."""
        return (yield from self.place.steps(self.offset + first, self.offset + end - 1))

    def _read_on(self, first: int, data: bytes, end: int) -> Bytes:
        """What was read from `first` on, and more of it up to `end`."""
        start = first + len(data)
        return data if end <= start else data + (yield from self._read(start, end))

    def _data(self, member: Member, first: int, window: bytes) -> MemberReading:
        """The data of a member, as far as possible out of the window that was read last, which began at `first`."""
        named = yield from self._named_wholly(member)
        if named is None or named.stem is None or not member.header.is_file or not member.header.size:
            return Rejected(Reason.BAD_MEMBER)
        if member.header.size > self._most_bytes:
            return Rejected(Reason.TOO_MANY_BYTES)
        have = window[member.start - first :] if 0 <= first <= member.start < first + len(window) else b""
        needed = member.end - member.start
        if len(have) < needed:
            end = member.end
            have = yield from self._read_on(member.start, have, end) if have else self._read(member.start, end)
        if parse(have[:BLOCK]) != member.header:
            raise ContradictionError(f"{self.place.location}: {_CHANGED}")
        return named, have[BLOCK:needed]

    def _named_wholly(self, member: Member) -> Generator[Request | BlockingCall, Any, Member | None]:
        """The member with its whole name, which may stand before it; None if what stands there makes it no plain file.

        What is known of a tar are single headers, found from anywhere: only a name that looks cut is worth a read.
        """
        if not member.header.may_be_cut:
            return member
        if member.start not in self._whole:
            data = yield from self._read(max(0, member.start - _LOOK_BACK), member.start + BLOCK)
            name = whole_name(data)
            self._whole[member.start] = replace(member, whole_name=name) if name else None
        return self._whole[member.start]

    def named(self, key: str) -> MemberReading:
        """The member with a key, found by bisecting where names are in order, by walking where they are not.

        Raises SourceError, as at() does.
        """
        for hop in range(_MOST_HOPS):
            found = self._names.get(key)
            if found is not None:
                return (yield from self._data(found, -1, b""))
            gap = self._names.where(key, self.known, self.sizes.window(1.0)) if hop < _MOST_READS else None
            if gap := gap or self.known.gap_at(0):
                yield from self._look(gap, 0.0 if gap.exact else 0.75)
            else:
                break
        for member in self.known.members:
            if (whole := (yield from self._named_wholly(member))) and self._key_of(whole) == key:
                return (yield from self._data(whole, -1, b""))
        return Rejected(Reason.UNLISTED if self.is_cut else Reason.MISSING)

    @property
    def is_cut(self) -> bool:
        """Whether all of the tar is known, and it has no end."""
        return self.known.complete and not self.known.ended
