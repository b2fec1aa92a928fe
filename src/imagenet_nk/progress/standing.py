"""Where a stage stands, as plain numbers and as one line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_STILL_S, _STILL_TIMES = 10.0, 5.0  # without a step: at least, and as a multiple of what one usually takes


@dataclass(frozen=True)
class ProgressState:
    """One look at a stage that is running."""

    stage: str
    unit: str  # what `done` and `total` count
    done: int
    total: int
    images: int  # that came through in this run
    seconds: float
    left: float | None = None  # seconds; None while nobody can tell
    bytes: int | None = None  # None for a stage that has no wire
    reasons: Mapping[str, int] = field(default_factory=dict)  # rejected candidates
    slowest: Sequence[tuple[str, float]] = ()  # hosts, with their mean seconds a request
    part: float | None = None  # of the work that is done, 0 to 1, where that is finer than done / total

    @property
    def share(self) -> float:
        """How far the stage is, from 0 to 1."""
        if self.part is not None:
            return self.part
        return self.done / self.total if self.total else 1.0


class EtaEstimator:
    """How long the steps so far have taken, without the times in which nothing moved: a host that asked for a pause
    says nothing of how quick the others are."""

    def __init__(self, now: float) -> None:
        self._count: int | None = None
        self._moved, self._seconds, self._steps = now, 0.0, 0

    def note(self, count: int, now: float) -> None:
        """Take in how far it is."""
        if count == self._count:
            return
        if self._count is not None:
            self._seconds += 0.0 if self._stands(now) else now - self._moved
            self._steps += 1
        self._count, self._moved = count, now

    def seconds(self, now: float) -> float | None:
        """So far; None while it stands still: then nobody can tell how long it will take."""
        return None if self._stands(now) else self._seconds + now - self._moved

    def _stands(self, now: float) -> bool:
        usual = self._seconds / self._steps if self._steps else math.inf  # the first one may take its time
        return now - self._moved > max(_STILL_S, _STILL_TIMES * usual)


def left(done: float, before: float, total: float, seconds: float | None) -> float | None:
    """Seconds until `total` if things go on as since `before`; None before the first step, or if `seconds` is."""
    return seconds * (total - done) / (done - before) if done > before and seconds is not None else None


def duration(seconds: float) -> str:
    """As 42 s, 3 min 05 s or 2 h 07 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def rate(standing: ProgressState) -> str:
    """Images and bytes a second so far."""
    seconds = max(standing.seconds, 1e-3)
    images = standing.images / seconds
    shown = f"{images:.0f} images/s" if images >= 10 else f"{images:.1f} images/s"
    return shown if standing.bytes is None else f"{shown}, {standing.bytes / seconds / 1e6:.1f} MB/s"


def rejected(standing: ProgressState, count: int = 4) -> str:
    """The commonest reasons, with their numbers."""
    commonest = sorted(standing.reasons.items(), key=lambda item: (-item[1], item[0]))[:count]
    return ", ".join(f"{reason} {number}" for reason, number in commonest)


def slowest(standing: ProgressState) -> str:
    """The slowest hosts, with their mean seconds a request."""
    return ", ".join(f"{host} {seconds:.1f} s" for host, seconds in standing.slowest)


def line(standing: ProgressState) -> str:
    """All of it in one line, for a job's log."""
    counted = "" if standing.unit == "images" else f", {standing.images} images"
    parts = [f"{standing.stage}: {standing.done} of {standing.total} {standing.unit}{counted}, {rate(standing)}"]
    if standing.left is not None:
        parts.append(f"{duration(standing.left)} left")
    if standing.reasons:
        parts.append(f"rejected: {rejected(standing)}")
    if standing.slowest:
        parts.append(f"slowest: {slowest(standing)}")
    return "; ".join(parts)
