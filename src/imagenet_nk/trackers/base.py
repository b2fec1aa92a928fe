"""The contract of a tracker, and what all of them are given."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from imagenet_nk.errors import ConfigError
from imagenet_nk.progress.stage_timer import read_stages


@dataclass(frozen=True)
class RunRecord:
    """One run, when it has ended."""

    output: Path
    settings: Mapping[str, Any]  # the whole configuration, nested

    def parameters(self) -> dict[str, str]:
        """The configuration by dotted key."""
        return {key: str(value) for key, value in _flat(self.settings)}

    def figures(self) -> dict[str, float]:
        """The numbers of metrics.json, cost.json and stages.json, by name with slashes."""
        read = {"cost": _json(self.output / "cost.json"), **_json(self.output / "metrics.json")}
        for name in ("per_class", "confused", "skipped"):
            read.pop(name, None)
        values = {key.replace(".", "/").removesuffix("/value"): value for key, value in _flat(read)}
        values |= {f"seconds/{stage.name}": stage.seconds for stage in read_stages(self.output)}
        return {key: float(value) for key, value in values.items() if _is_number(value)}


class Tracker(Protocol):
    """Somewhere that keeps figures of runs. Built before the run, so that what is missing is said at once."""

    def log(self, run: RunRecord) -> None:
        """Keep metrics, configuration and report of a run."""


def require(package: str, extra: str) -> None:
    """Raise ConfigError unless the package can be imported."""
    if importlib.util.find_spec(package) is None:
        raise ConfigError(f"tracker={extra} needs the package {package}: pip install 'imagenet-nk[{extra}]'")


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read
