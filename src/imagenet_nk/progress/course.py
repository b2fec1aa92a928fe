"""stages.json: which stages a run has begun and ended, and how long they took."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from imagenet_nk.storage import files

NAME = "stages.json"


@dataclass
class Stage:
    """One stage of a run."""

    name: str
    started: str  # UTC, ISO 8601
    seconds: float | None = None  # None: it has not ended, or not well


class StageTimer:
    """The stages of one run, written to its output folder as they begin and end."""

    def __init__(self, output: Path) -> None:
        self._path = output / NAME
        self.stages: list[Stage] = read(output)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage. One that ends by an exception keeps `seconds` null."""
        self.stages = [stage for stage in self.stages if stage.name != name]
        current = Stage(name, datetime.now(UTC).isoformat(timespec="seconds"))
        self.stages.append(current)
        self._write()
        before = time.monotonic()
        yield
        current.seconds = round(time.monotonic() - before, 3)
        self._write()

    def _write(self) -> None:
        files.write_text(self._path, json.dumps([asdict(stage) for stage in self.stages], indent=1) + "\n")


def read(output: Path) -> list[Stage]:
    """The stages of a run in the order of their beginnings; none if it wrote no stages.json that can be read."""
    try:
        return [Stage(**row) for row in json.loads((output / NAME).read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return []
