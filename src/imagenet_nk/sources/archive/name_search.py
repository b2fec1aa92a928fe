"""Finding a member of a tar by its name: by bisecting, as long as names and offsets rise together. Pure."""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Callable

from imagenet_nk.sources.archive.member_map import Gap, Member, MemberMap

_NUMBER = re.compile(r"([0-9]{1,18})")
SortKey = tuple[tuple[int, int, str], ...]


def natural_key(name: str) -> SortKey:
    """Sort key by which numbers count as numbers: n1_9 before n1_10."""
    parts = _NUMBER.split(name)
    return tuple((0, int(part), "") if i % 2 else (1, 0, part) for i, part in enumerate(parts))


def text_key(name: str) -> SortKey:
    """Sort key by which names are plain text: n1_10 before n1_9."""
    return ((1, 0, name),)


class _NameOrder:
    """Known members sorted by name; consistent as long as their offsets have the same order."""

    def __init__(self, key_of: Callable[[str], SortKey]) -> None:
        self.key_of = key_of
        self.is_consistent = True
        self._entries: list[tuple[SortKey, int]] = []

    def note(self, name: str, start: int) -> None:
        if not self.is_consistent:
            return
        entry = (self.key_of(name), start)
        i = bisect_left(self._entries, entry)
        before, behind = self._entries[i - 1 : i] if i else [], self._entries[i : i + 1]
        self.is_consistent = all(at < start for _, at in before) and all(at > start for _, at in behind)
        insort(self._entries, entry)

    def bracket(self, name: str, length: int) -> tuple[int, int, float]:
        """The offsets between which a name must lie, and the expected fraction of the way between them, 0 to 1."""
        key = self.key_of(name)
        i = bisect_left(self._entries, (key, -1))
        low = self._entries[i - 1] if i else ((), 0)
        high = self._entries[i] if i < len(self._entries) else ((), length)
        return low[1], high[1], _interpolate(low[0], key, high[0])


def _interpolate(low: SortKey, key: SortKey, high: SortKey) -> float:
    """Where a key lies between two others that differ from it in one number alone, 0 to 1; else 0.5."""
    if len(low) == len(key) == len(high):
        differing = [i for i in range(len(key)) if not low[i] == key[i] == high[i]]
        if len(differing) == 1:
            a, b, c = (parts[differing[0]][1] for parts in (low, key, high))
            if a < b < c:
                return (b - a) / (c - a)
    return 0.5


class NameIndex:
    """The known members of a tar by key."""

    def __init__(self, key_of: Callable[[Member], str]) -> None:
        self._key_of = key_of
        self._members: dict[str, Member] = {}
        self._orders = (_NameOrder(natural_key), _NameOrder(text_key))

    def note(self, member: Member) -> None:
        key = self._key_of(member)
        self._members.setdefault(key, member)
        for order in self._orders:
            order.note(key, member.start)

    def get(self, key: str) -> Member | None:
        return self._members.get(key)

    def next_gap(self, key: str, members: MemberMap, member_size: int) -> Gap | None:
        """Which gap to read next to find a key; None if it cannot exist, or names are in neither order.

        `member_size`: bytes of an average member; the gap begins half of it before the expected offset.
        """
        for order in self._orders:
            if not order.is_consistent:
                continue
            low, high, fraction = order.bracket(key, members.length)
            expected = low + int(fraction * (high - low)) - member_size // 2
            for position in (max(low, expected // 512 * 512), low):
                gap = members.gap_at(position)
                if gap is not None and gap.first < high:
                    return gap
        return None
