"""stages.json: which stages of a run have started and ended, and how long they took."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from imagenet_nk.storage import files

FILE_NAME = "stages.json"


@dataclass
class Stage:
    """One stage of a run."""

    name: str
    started: str  # UTC, ISO 8601
    seconds: float | None = None  # None: it has not ended, or it failed


class StageTimer:
    """Times the stages of one run, and writes stages.json to its output folder as they start and end."""

    def __init__(self, output: Path) -> None:
        self._path = output / FILE_NAME
        self.stages: list[Stage] = read_stages(output)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage. `seconds` of a stage that raises stays null."""
        self.stages = [stage for stage in self.stages if stage.name != name]
        current = Stage(name, datetime.now(UTC).isoformat(timespec="seconds"))
        self.stages.append(current)
        self._write()
        start = time.monotonic()
        yield
        current.seconds = round(time.monotonic() - start, 3)
        self._write()

    def _write(self) -> None:
        files.write_text(self._path, json.dumps([asdict(stage) for stage in self.stages], indent=1) + "\n")


def read_stages(output: Path) -> list[Stage]:
    """The stages of a run in the order of their start; empty if there is no readable stages.json."""
    try:
        return [Stage(**row) for row in json.loads((output / FILE_NAME).read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError, RecursionError):
        return []
