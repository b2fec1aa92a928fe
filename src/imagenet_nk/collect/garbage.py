"""Python's search for reference cycles, where a loop makes many objects and no cycles."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_SELDOM = 50_000  # objects made and not yet freed, until the youngest are searched; Python's own number is 700


@contextmanager
def seldom_searched() -> Iterator[None]:
    """Within, cycles are searched for seldom, and not among what is there already.

    A run's objects live as long as their class is filled, so searching them again and again finds nothing: it took
    one part in thirty of the stage's time.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_SELDOM, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
