"""What a worker that collects and the driver tell each other: one Report, one Orders, about ten times a second.

Times are seconds from the moment of sending, never of a clock: those of two machines need not agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from imagenet_nk.collect.distributed.class_result import Walk
from imagenet_nk.dataset.ledger_writer import Values


@dataclass(slots=True)
class Seen:
    """What a worker has met at one host since its last report."""

    answers: int = 0
    failures: list[tuple[str, float, float]] = field(
        default_factory=list
    )  # (fault, began, ended) after the last answer
    failed: int = 0  # of all failures, those before the last answer included
    answered: float | None = None  # when the last answer came; seconds ago
    seconds: float = 0.0  # spent waiting
    pause: float = 0.0  # seconds for which the host asked to be left alone


@dataclass(slots=True)
class Tally:
    """A worker's numbers since it began."""

    kept: int = 0  # of the classes at hand
    images: int = 0
    bytes: int = 0
    requests: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    lost: int = 0  # image files of earlier runs that were not there, or not whole


@dataclass(slots=True)
class Report:
    """From a worker."""

    tally: Tally
    rows: Sequence[Values] = ()  # attempts that ended, as the ledger has them
    walks: Sequence[Walk] = ()  # classes that it is through with, and forgets
    placeholders: Sequence[int] = ()  # found out since the last report
    shared: Sequence[int] = ()
    seen: Mapping[str, Seen] = field(default_factory=dict)  # by host
    wanted: Mapping[str, int] = field(default_factory=dict)  # permits, by host
    returned: Mapping[str, int] = field(default_factory=dict)
    room: int = 0  # classes that it could take on
    said: Sequence[str] = ()  # warnings, for the driver's log
    cut_off: bool = False  # nothing on the web answers it any more
    witness: tuple[str, str] | None = None  # a host that has answered it, and an address there


@dataclass(slots=True)
class Hand:
    """A class that is dealt to a worker."""

    wnid: str
    wanted: int | None  # images; None = all that there are
    ranks: tuple[int, ...]  # sources to draw from: 0, 1 (the fallback) or both
    rows: Sequence[Mapping[str, Any]]  # of the ledger: what is settled already


@dataclass(slots=True)
class HostOrders:
    """How a worker is to treat a host from now on."""

    permits: int = 0  # more requests that it may have in flight, until it returns them
    starts: Sequence[float] = ()  # permits for one request each, and in how many seconds it may start
    wait: float = 0.0  # seconds before it asks again, or starts anything at all
    most: int | None = None  # permits that it may go on holding; what is more goes back as requests end
    aside: bool = False
    fault: str = ""  # for which the host is given up


@dataclass(slots=True)
class Orders:
    """To a worker."""

    hands: Sequence[Hand] = ()
    placeholders: Sequence[int] = ()
    shared: Sequence[int] = ()
    hosts: Mapping[str, HostOrders] = field(default_factory=dict)
    witnesses: Mapping[str, str] = field(default_factory=dict)  # of other workers, for one that has none
    again_s: float = 0.1  # until the next report
    stop: bool = False
