"""Where in a tar a member of a given name must stand, as long as its names are in order. Pure."""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Callable

from imagenet_nk.sources.archive.member_map import Gap, Member, MemberMap

_NUMBER = re.compile(r"([0-9]{1,18})")
Rank = tuple[tuple[int, int, str], ...]


def natural(name: str) -> Rank:
    """Sort key in which numbers count as numbers: n1_9 before n1_10."""
    parts = _NUMBER.split(name)
    return tuple((0, int(part), "") if i % 2 else (1, 0, part) for i, part in enumerate(parts))


def textual(name: str) -> Rank:
    """Sort key in which names are just text: n1_10 before n1_9."""
    return ((1, 0, name),)


class _Order:
    """Members by rank; of use for as long as ranks and offsets rise together."""

    def __init__(self, rank_of: Callable[[str], Rank]) -> None:
        self.rank_of = rank_of
        self.holds = True
        self._ranked: list[tuple[Rank, int]] = []

    def note(self, name: str, start: int) -> None:
        if not self.holds:
            return
        entry = (self.rank_of(name), start)
        i = bisect_left(self._ranked, entry)
        before, behind = self._ranked[i - 1 : i] if i else [], self._ranked[i : i + 1]
        self.holds = all(other < start for _, other in before) and all(other > start for _, other in behind)
        insort(self._ranked, entry)

    def around(self, name: str, length: int) -> tuple[int, int, float]:
        """Offsets between which a name must stand, and how far between them it is to be expected, 0 to 1."""
        rank = self.rank_of(name)
        i = bisect_left(self._ranked, (rank, -1))
        low = self._ranked[i - 1] if i else ((), 0)
        high = self._ranked[i] if i < len(self._ranked) else ((), length)
        return low[1], high[1], _share(low[0], rank, high[0])


def _share(low: Rank, rank: Rank, high: Rank) -> float:
    """Position of a rank between two others that differ from it in one number alone; the middle if they do not."""
    if len(low) == len(rank) == len(high):
        differing = [i for i in range(len(rank)) if not low[i] == rank[i] == high[i]]
        if len(differing) == 1:
            a, b, c = (key[differing[0]][1] for key in (low, rank, high))
            if a < b < c:
                return (b - a) / (c - a)
    return 0.5


class Names:
    """The names of a tar's known members."""

    def __init__(self, key_of: Callable[[Member], str]) -> None:
        self._key_of = key_of
        self._members: dict[str, Member] = {}
        self._orders = (_Order(natural), _Order(textual))

    def note(self, member: Member) -> None:
        key = self._key_of(member)
        self._members.setdefault(key, member)
        for order in self._orders:
            order.note(key, member.start)

    def get(self, key: str) -> Member | None:
        return self._members.get(key)

    def where(self, key: str, known: MemberMap, step: int) -> Gap | None:
        """What to read next to find a key; None if it cannot be there, or names are in no order we know.

        `step`: bytes of a usual member; the place aimed at is half of it before the one expected.
        """
        for order in self._orders:
            if not order.holds:
                continue
            low, high, share = order.around(key, known.length)
            aim = low + int(share * (high - low)) - step // 2
            for position in (max(low, aim // 512 * 512), low):
                gap = known.gap_at(position)
                if gap is not None and gap.first < high:
                    return gap
        return None
