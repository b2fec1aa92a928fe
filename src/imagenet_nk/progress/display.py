"""One live display on a terminal; elsewhere one line in the log every 30 seconds, with the same numbers."""

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
from imagenet_nk.progress.standing import EtaEstimator, ProgressState, duration, left, line, rate, rejected, slowest

log = logging.getLogger(__name__)

LINE_EVERY_S = 30.0
_DRAW_EVERY_S = 0.25
_HOSTS_EVERY_S = 2.0  # there may be a hundred thousand of them


class Display:
    """Shows one stage while it runs. `collecting` and `embedding` are the callbacks that the stages take."""

    def __init__(self, stage: str, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """`console`: where to draw; the default is the standard error stream."""
        self._stage, self._clock = stage, clock
        console = console or Console(stderr=True)
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._every = _DRAW_EVERY_S if self._live else LINE_EVERY_S
        self._started = self._shown = clock()
        self._before: int | None = None  # what stood when this run began
        self._moving = EtaEstimator(self._started)
        self._slowest: tuple[float, list[tuple[str, float]]] = (float("-inf"), [])
        self._diverted: list[tuple[logging.StreamHandler[TextIO], TextIO]] = []

    def collecting(self, progress: Progress) -> None:
        """Progress of the stage collect."""
        now = self._clock()
        if self._before is None:
            self._before = progress.kept
            self._moving = EtaEstimator(now)
        self._moving.note(progress.kept, now)
        if not self._due(now):
            return
        seconds = now - self._started
        if progress.wanted is None:
            remaining = left(progress.done, 0, progress.classes, self._moving.seconds(now))
        else:
            remaining = left(progress.kept, self._before, progress.wanted, self._moving.seconds(now))
        if now - self._slowest[0] > _HOSTS_EVERY_S:
            self._slowest = now, progress.hosts.slowest(3)
        self._show(
            ProgressState(
                stage=self._stage,
                unit="classes",
                done=progress.done,
                total=progress.classes,
                images=progress.images,
                seconds=seconds,
                left=remaining,
                bytes=progress.bytes,
                reasons=progress.reasons,
                slowest=self._slowest[1],
                part=progress.kept / progress.wanted if progress.wanted else None,
            )
        )

    def embedding(self, done: int, total: int) -> None:
        """Progress of the stage centers: images embedded, images in all."""
        now = self._clock()
        if self._due(now):
            seconds = now - self._started
            self._show(ProgressState(self._stage, "images", done, total, done, seconds, left(done, 0, total, seconds)))

    def _due(self, now: float) -> bool:
        if now - self._shown < self._every:
            return False
        self._shown = now
        return True

    def _show(self, standing: ProgressState) -> None:
        if self._live:
            self._live.update(drawn(standing, self._live.console.width), refresh=True)
        else:
            log.info("%s", line(standing))

    # --- the terminal, while the display has it

    def __enter__(self) -> Display:
        if self._live:
            before = sys.stderr
            self._live.update(Text(f"{self._stage} begins", style="bold"))  # its first step may take a while
            self._live.start(refresh=True)  # puts a stream in front of stderr that prints above the display
            for handler in logging.getLogger().handlers:
                if isinstance(handler, logging.StreamHandler) and handler.stream is before:
                    handler.setStream(sys.stderr)
                    self._diverted.append((handler, before))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handler, stream in self._diverted:
            handler.setStream(stream)
        self._diverted.clear()
        if self._live:
            self._live.stop()


def drawn(standing: ProgressState, width: int = 80) -> Group:
    """The display: a bar with its numbers, then what was rejected and which hosts are slow."""
    head = Table.grid(padding=(0, 2))
    head.add_row(
        Text(standing.stage, style="bold"),
        ProgressBar(total=1.0, completed=standing.share, width=min(32, max(6, width - 48))),
        Text(f"{standing.done} of {standing.total} {standing.unit}", no_wrap=True),
        Text(f"{duration(standing.left)} left" if standing.left is not None else "", style="cyan"),
    )
    facts = Table.grid(padding=(0, 2))
    counted = "" if standing.unit == "images" else f"{standing.images} images, "
    facts.add_row(Text("so far", style="dim"), Text(f"{counted}{rate(standing)}, {duration(standing.seconds)}"))
    if standing.reasons:
        facts.add_row(Text("rejected", style="dim"), Text(rejected(standing), overflow="ellipsis", no_wrap=True))
    if standing.slowest:
        facts.add_row(Text("slowest", style="dim"), Text(slowest(standing), overflow="ellipsis", no_wrap=True))
    return Group(head, facts)
