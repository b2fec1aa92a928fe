"""The summary at the end of a run: images, incomplete classes, rejections, time by stage, files written."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from imagenet_nk.dataset.summary import Summary
from imagenet_nk.progress.progress_state import format_duration
from imagenet_nk.progress.stage_timer import Stage
from imagenet_nk.storage.files import is_file, is_remote
from imagenet_nk.wording import first_few, plural

_RESULT_FILES = (
    "eval.txt",
    "train.txt",
    "labels.csv",
    "classes.csv",
    "manifest.parquet",
    "manifest.csv",
    "centers.safetensors",
    "metrics.json",
    "report/index.html",
)
_EVENT_FILES = "tensorboard/events.*"  # of tracker=tensorboard
_WIDTH = 110


def files_written(folders: Iterable[Path], since: float) -> list[tuple[Path, int]]:
    """Result files in the folders that were written at `since` (Unix time) or later, with their size in bytes."""
    paths: list[Path] = []
    for folder in dict.fromkeys(folders):
        paths += [path for name in _RESULT_FILES if is_file(path := folder / name)]
        if not is_remote(folder):
            paths += sorted(folder.glob(_EVENT_FILES))
    return [(path, stat.st_size) for path in paths if (stat := path.stat()).st_mtime >= since]


def read_summary(folder: Path) -> Summary | None:
    """The summary of a data set from its classes.csv, for a run that did not collect; None if that is not readable."""
    try:
        with (folder / "classes.csv").open("rb") as file:
            classes = pd.read_csv(file, keep_default_na=False)
        reasons = classes.loc[:, "tried":"words"].iloc[:, 1:-1].sum().sort_values(ascending=False, kind="stable")
        return Summary(
            classes=len(classes),
            kept=int(classes["kept"].sum()),
            tried=int(classes["tried"].sum()),
            short=tuple(classes.loc[classes["kept"] < classes["wanted"], "wnid"]),
            reasons={str(name): int(count) for name, count in reasons.items()},
            sources={},
            shared=0,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def format_summary(
    summary: Summary | None,
    stages: Sequence[Stage],
    files: Iterable[tuple[Path, int]],
    warnings: Iterable[str] = (),
) -> str:
    """The table as text, warnings last. `summary`: None if there is no data set."""
    rows = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    rows.add_column(no_wrap=True)
    rows.add_column(overflow="fold")
    for name, value in [*_collect_rows(summary), *_time_rows(stages)]:
        rows.add_row(Text(name), Text(value))
    for index, (path, size) in enumerate(files):
        rows.add_row("" if index else "files", Text(f"{_display_path(path)}  {_format_size(size)}"))
    for warning in warnings:
        rows.add_row(Text("warning"), Text(warning))
    console = Console(file=io.StringIO(), width=_WIDTH, color_system=None)
    with console.capture() as captured:
        console.print(rows)
    return "\n".join(text.rstrip() for text in captured.get().splitlines())


def _collect_rows(summary: Summary | None) -> list[tuple[str, str]]:
    if summary is None:
        return []
    count = len(summary.short)
    short = f"{plural(count, 'class', 'classes')}: {first_few(summary.short)}" if count else "no class"
    reasons = ", ".join(f"{reason} {count}" for reason, count in summary.reasons.items())
    kept = f"{plural(summary.kept, 'image')} of {plural(summary.classes, 'class', 'classes')}"
    return [
        ("kept", f"{kept}, out of {plural(summary.tried, 'candidate')}"),
        ("short", short),
        ("rejected", reasons or "none"),
    ]


def _time_rows(stages: Sequence[Stage]) -> list[tuple[str, str]]:
    times = ", ".join(f"{stage.name} {format_duration(stage.seconds)}" for stage in stages if stage.seconds is not None)
    return [("time", times)] if times else []


def _display_path(path: Path) -> Path:
    """Relative to the working directory, if it lies below."""
    if is_remote(path) or not path.is_absolute() or not path.is_relative_to(Path.cwd()):
        return path
    return path.relative_to(Path.cwd())


def _format_size(count: int) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"
