from __future__ import annotations

import io
import logging
import re
import sys
from collections import Counter

import pytest
from rich.console import Console

from imagenet_nk.collect.progress import Progress
from imagenet_nk.config import HttpConfig
from imagenet_nk.net.host_table import HostState, HostTable
from imagenet_nk.progress.display import LINE_EVERY_S, Display, render
from imagenet_nk.progress.progress_state import ProgressState


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def progress(kept: int, images: int = 0) -> Progress:
    hosts = HostTable(HttpConfig())
    hosts.table = {
        "slow.example:80": HostState(requests=4, seconds=8.0),
        "quick.example:80": HostState(requests=4, seconds=0.4),
    }
    return Progress(20, hosts, 200, kept // 10, kept, images, 5_000_000, 99, Counter(http_404=7, truncated=2))


def test_without_a_terminal_a_log_line_comes_every_half_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    with caplog.at_level(logging.INFO), Display("collect", Console(file=io.StringIO()), clock) as display:
        for second in range(int(2 * LINE_EVERY_S) + 1):
            clock.now = 100 + second
            display.collecting(progress(40 + second, second))
    rest = "rejected: http_404 7, truncated 2; slowest: slow.example:80 2.0 s, quick.example:80 0.1 s"
    assert caplog.messages == [
        f"collect: 7 of 20 classes, 30 images, 1.0 images/s, 0.2 MB/s; 2 min 10 s left; {rest}",
        f"collect: 10 of 20 classes, 60 images, 1.0 images/s, 0.1 MB/s; 1 min 40 s left; {rest}",
    ]


def test_eta_counts_only_images_of_this_run(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    with caplog.at_level(logging.INFO), Display("collect", Console(file=io.StringIO()), clock) as display:
        display.collecting(progress(150))
        clock.now += LINE_EVERY_S
        display.collecting(progress(160))
    assert "2 min 00 s left" in caplog.text


def test_eta_does_not_count_a_pause(caplog: pytest.LogCaptureFixture) -> None:
    """An image a second, then nothing for five minutes, then as before."""
    clock = Clock()
    with caplog.at_level(logging.INFO), Display("collect", Console(file=io.StringIO()), clock) as display:
        for second in range(30 + 300 + 30 + 1):
            clock.now = 100 + second
            display.collecting(progress(40 + min(second, 30) + max(0, second - 330)))
    lefts = [re.findall(r"[^;]* left", line) for line in caplog.messages]
    assert lefts[0] == [" 2 min 10 s left"]
    assert lefts[1:-1] == [[]] * 10
    assert lefts[-1] == [" 1 min 38 s left"]  # the step with which it ended took no time


def test_stage_centers_counts_images(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    with caplog.at_level(logging.INFO), Display("centers", Console(file=io.StringIO()), clock) as display:
        clock.now += LINE_EVERY_S
        display.embedding(600, 1000)
    assert caplog.messages == ["centers: 600 of 1000 images, 20 images/s; 20 s left"]


def test_on_a_terminal_it_redraws_and_does_not_log(caplog: pytest.LogCaptureFixture) -> None:
    clock, screen = Clock(), io.StringIO()
    with caplog.at_level(logging.INFO), Display("collect", terminal(screen), clock) as display:
        for _ in range(50):
            clock.now += 0.1
            display.collecting(progress(100))
    shown = screen.getvalue()
    assert "10 of 20 classes" in shown
    assert "http_404 7" in shown
    assert "slow.example:80 2.0 s" in shown
    assert shown.count("10 of 20 classes") <= 17, "drawn more often than every quarter of a second"
    assert not caplog.messages


def test_narrow_terminal_keeps_the_count_on_one_line() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=50, color_system=None, legacy_windows=False)
    console.print(render(ProgressState("collect", "classes", 0, 12, 0, 1.0, eta=130), 50))
    assert "0 of 12 classes" in screen.getvalue()


def test_on_a_terminal_the_stage_is_named_before_its_first_step() -> None:
    screen = io.StringIO()
    with Display("centers", terminal(screen)):
        pass
    assert "centers begins" in screen.getvalue()


def test_log_lines_print_above_the_display_and_the_handler_gets_its_stream_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    stderr, handler = sys.stderr, logging.StreamHandler(sys.stderr)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        with Display("collect", terminal(screen)):
            assert handler.stream is not stderr
            root.warning("a line of the log")
        assert handler.stream is stderr
    finally:
        root.removeHandler(handler)
    assert "a line of the log" in screen.getvalue()
    assert "a line of the log" not in stderr.getvalue()


def terminal(file: io.StringIO) -> Console:
    return Console(file=file, force_terminal=True, width=120, color_system=None, legacy_windows=False)
