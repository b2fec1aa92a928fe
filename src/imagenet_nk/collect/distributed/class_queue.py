"""Which classes are still to be collected, which worker has which, and what became of the others."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from imagenet_nk.collect.distributed.class_result import Walk, words


class Dealing:
    """Classes go to whoever has room, a few at a time, so that no worker ends long before the others."""

    def __init__(self, wnids: Sequence[str], workers: int, ranks: tuple[int, ...]) -> None:
        """`ranks`: the sources that a class draws from at first."""
        self._workers = workers
        self.ranks = dict.fromkeys(wnids, ranks)
        self.walks: dict[str, Walk] = {}  # of the classes that are through
        self.full = 0  # of them
        self.kept = 0  # their images
        self._todo = deque(wnids)
        self._with: dict[str, set[str]] = {}  # classes by worker
        self._dealt: set[str] = set()  # at least once: the ledger has rows of them

    @property
    def quiet(self) -> bool:
        """Whether every class is through, as far as is known."""
        return not self._todo and not any(self._with.values())

    def deal(self, worker: str, room: int) -> list[str]:
        """Classes for a worker that has room for so many more."""
        count = min(room, math.ceil(len(self._todo) / (2 * self._workers)))
        wnids = [self._todo.popleft() for _ in range(count)]
        self._with.setdefault(worker, set()).update(wnids)
        return wnids

    def known(self, wnid: str) -> bool:
        """Whether a class was dealt before; notes that it is now."""
        before = wnid in self._dealt
        self._dealt.add(wnid)
        return before

    def through(self, worker: str, walk: Walk, *, stale: bool) -> None:
        """A worker has come to the end of a class. `stale`: by rules that have changed meanwhile."""
        if walk.wnid not in self._with.get(worker, ()):
            return
        self._with[worker].remove(walk.wnid)
        if stale:
            self._todo.append(walk.wnid)
        else:
            self._put(walk.wnid, walk)

    def lost(self, worker: str) -> None:
        """Whatever a worker had is to be done by others."""
        self._todo.extendleft(sorted(self._with.pop(worker, ()), reverse=True))

    def again(self, placeholders: set[int], shared: set[int]) -> None:
        """Send those classes back that would go otherwise by these rules."""
        if not placeholders and not shared:
            return
        contents, pixels = words(placeholders), words(shared)
        for walk in [walk for walk in self.walks.values() if walk.touched_by(contents, pixels)]:
            self._put(walk.wnid, None)
            self._todo.append(walk.wnid)

    def draw_on(self, wnids: Sequence[str]) -> None:
        """Let classes that are through go on with the fallback."""
        for wnid in wnids:
            self.ranks[wnid] = (*self.ranks[wnid], 1)
            self._put(wnid, None)
            self._todo.append(wnid)

    def _put(self, wnid: str, walk: Walk | None) -> None:
        if before := self.walks.pop(wnid, None):
            self.full -= before.full
            self.kept -= before.kept
        if walk:
            self.walks[wnid] = walk
            self.full += walk.full
            self.kept += walk.kept
