"""A live display on a terminal; elsewhere a log line with the same numbers every 30 seconds."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from imagenet_nk.collect.progress import Progress
from imagenet_nk.progress.progress_state import (
    EtaEstimator,
    ProgressState,
    format_duration,
    format_line,
    format_rate,
    format_rejections,
    format_slowest_hosts,
)

log = logging.getLogger(__name__)

LINE_EVERY_S = 30.0
_DRAW_EVERY_S = 0.25
_HOSTS_EVERY_S = 2.0  # sorting a hundred thousand hosts takes time


class Display:
    """Shows one stage while it runs. `collecting` and `embedding` are the callbacks that the stages take."""

    def __init__(self, stage: str, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """`console`: where to draw; the default is the standard error stream."""
        self._stage, self._clock = stage, clock
        console = console or Console(stderr=True)
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._interval_s = _DRAW_EVERY_S if self._live else LINE_EVERY_S
        self._started = self._last_shown = clock()
        self._estimator: EtaEstimator | None = None
        self._slowest: tuple[float, list[tuple[str, float]]] = (float("-inf"), [])
        self._redirected: list[tuple[logging.StreamHandler[TextIO], TextIO]] = []

    def collecting(self, progress: Progress) -> None:
        """Progress of the stage collect."""
        now = self._clock()
        by_images = progress.wanted is not None
        self._estimator = self._estimator or EtaEstimator(progress.kept if by_images else progress.done, now)
        self._estimator.observe(progress.kept if by_images else progress.done, now)
        if not self._is_due(now):
            return
        if now - self._slowest[0] > _HOSTS_EVERY_S:
            self._slowest = now, progress.hosts.slowest(3)
        self._show(
            ProgressState(
                stage=self._stage,
                unit="classes",
                done=progress.done,
                total=progress.classes,
                images=progress.images,
                seconds=now - self._started,
                eta=self._estimator.eta(progress.classes if progress.wanted is None else progress.wanted, now),
                bytes=progress.bytes,
                reasons=progress.reasons,
                slowest=self._slowest[1],
                images_fraction=progress.kept / progress.wanted if progress.wanted else None,
            )
        )

    def embedding(self, done: int, total: int) -> None:
        """Progress of the stage centers: images embedded, images in all."""
        now = self._clock()
        self._estimator = self._estimator or EtaEstimator(0, self._started)
        self._estimator.observe(done, now)
        if self._is_due(now):
            eta = self._estimator.eta(total, now)
            self._show(ProgressState(self._stage, "images", done, total, done, now - self._started, eta))

    def _is_due(self, now: float) -> bool:
        if now - self._last_shown < self._interval_s:
            return False
        self._last_shown = now
        return True

    def _show(self, state: ProgressState) -> None:
        if self._live:
            self._live.update(render(state, self._live.console.width), refresh=True)
        else:
            log.info("%s", format_line(state))

    # --- on a terminal

    def __enter__(self) -> Display:
        if self._live:
            original = sys.stderr
            self._live.update(Text(f"{self._stage} begins", style="bold"))  # the first step may take a while
            self._live.start(refresh=True)  # replaces sys.stderr by a stream that prints above the display
            for handler in logging.getLogger().handlers:
                if isinstance(handler, logging.StreamHandler) and handler.stream is original:
                    handler.setStream(sys.stderr)
                    self._redirected.append((handler, original))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handler, stream in self._redirected:
            handler.setStream(stream)
        self._redirected.clear()
        if self._live:
            self._live.stop()


def render(state: ProgressState, width: int = 80) -> Group:
    """A progress bar with its numbers; below it the rejections and the slowest hosts."""
    head = Table.grid(padding=(0, 2))
    head.add_row(
        Text(state.stage, style="bold"),
        ProgressBar(total=1.0, completed=state.fraction, width=min(32, max(6, width - 48))),
        Text(f"{state.done} of {state.total} {state.unit}", no_wrap=True),
        Text(f"{format_duration(state.eta)} left" if state.eta is not None else "", style="cyan"),
    )
    details = Table.grid(padding=(0, 2))
    images = "" if state.unit == "images" else f"{state.images} images, "
    details.add_row(
        Text("so far", style="dim"), Text(f"{images}{format_rate(state)}, {format_duration(state.seconds)}")
    )
    for name, text in (("rejected", format_rejections(state)), ("slowest", format_slowest_hosts(state))):
        if text:
            details.add_row(Text(name, style="dim"), Text(text, overflow="ellipsis", no_wrap=True))
    return Group(head, details)
