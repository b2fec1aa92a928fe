"""The state of a running stage in numbers, its remaining time, and both as one line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_STALLED_S, _STALLED_STEPS = 10.0, 5.0  # without a step: at least so long, and so many times the usual step


@dataclass(frozen=True)
class ProgressState:
    """A snapshot of a stage that is running."""

    stage: str
    unit: str  # what `done` and `total` count
    done: int
    total: int
    images: int  # kept or embedded by this run
    seconds: float
    eta: float | None = None  # seconds until the end; None if unknown
    bytes: int | None = None  # downloaded; None for a stage without downloads
    reasons: Mapping[str, int] = field(default_factory=dict)  # rejected candidates
    slowest: Sequence[tuple[str, float]] = ()  # hosts, with their mean seconds a request
    images_fraction: float | None = None  # of the images wanted, 0 to 1; None if their number is unknown

    @property
    def fraction(self) -> float:
        """How much of the stage is done, from 0 to 1."""
        if self.images_fraction is not None:
            return self.images_fraction
        return self.done / self.total if self.total else 1.0


class EtaEstimator:
    """Remaining time by the rate so far; times without a step, such as a host's pause, do not count."""

    def __init__(self, count: int, now: float) -> None:
        self._initial = self._count = count
        self._last_step, self._active_seconds, self._steps = now, 0.0, 0

    def observe(self, count: int, now: float) -> None:
        """Note the present count."""
        if count != self._count:
            self._active_seconds += 0.0 if self._is_stalled(now) else now - self._last_step
            self._steps += 1
            self._count, self._last_step = count, now

    def eta(self, total: int, now: float) -> float | None:
        """Seconds until `total`; None before the first step and while nothing moves."""
        steps = self._count - self._initial
        if steps <= 0 or self._is_stalled(now):
            return None
        return (self._active_seconds + now - self._last_step) * (total - self._count) / steps

    def _is_stalled(self, now: float) -> bool:
        usual = self._active_seconds / self._steps if self._steps else math.inf  # the first step may take any time
        return now - self._last_step > max(_STALLED_S, _STALLED_STEPS * usual)


def format_duration(seconds: float) -> str:
    """As 42 s, 3 min 05 s or 2 h 07 min."""
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    minutes, rest = divmod(total, 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def format_rate(state: ProgressState) -> str:
    """Images and bytes per second so far."""
    seconds = max(state.seconds, 1e-3)
    images = state.images / seconds
    text = f"{images:.0f} images/s" if images >= 10 else f"{images:.1f} images/s"
    return text if state.bytes is None else f"{text}, {state.bytes / seconds / 1e6:.1f} MB/s"


def format_rejections(state: ProgressState, count: int = 4) -> str:
    """The most frequent reasons, with their numbers."""
    frequent = sorted(state.reasons.items(), key=lambda item: (-item[1], item[0]))[:count]
    return ", ".join(f"{reason} {number}" for reason, number in frequent)


def format_slowest_hosts(state: ProgressState) -> str:
    """The slowest hosts, with their mean seconds a request."""
    return ", ".join(f"{host} {seconds:.1f} s" for host, seconds in state.slowest)


def format_line(state: ProgressState) -> str:
    """Everything in one line, for the log."""
    images = "" if state.unit == "images" else f", {state.images} images"
    parts = [f"{state.stage}: {state.done} of {state.total} {state.unit}{images}, {format_rate(state)}"]
    if state.eta is not None:
        parts.append(f"{format_duration(state.eta)} left")
    if state.reasons:
        parts.append(f"rejected: {format_rejections(state)}")
    if state.slowest:
        parts.append(f"slowest: {format_slowest_hosts(state)}")
    return "; ".join(parts)
