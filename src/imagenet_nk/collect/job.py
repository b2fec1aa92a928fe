"""The settings of one collection."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from imagenet_nk.classes.label_map import LabelMap
from imagenet_nk.collect.progress import Progress
from imagenet_nk.config.collecting import HttpConfig, InspectConfig, Retry
from imagenet_nk.config.sources import Materialize
from imagenet_nk.engine.contract import Engine
from imagenet_nk.engine.local import Local
from imagenet_nk.sampling.draw_order import Sampling, Split
from imagenet_nk.sources.contract import Source, SourceContext

ProgressCallback = Callable[[Progress], None]  # called five times a second

_VALIDITY_KEYS = ("min_side", "max_pixels", "placeholder_urls")  # of inspect.*: they decide whether an image is valid


@dataclass(frozen=True)
class Job:
    """Settings and the sources built from them; nothing is open yet."""

    source: Source
    fallback: Source
    sampling: Sampling
    split: Split
    label_map: LabelMap
    nk: int | None
    folder: Path
    http: HttpConfig
    inspect: InspectConfig
    retry: Retry
    fingerprint: str  # of all settings that the result depends on
    engine: Engine = field(default_factory=lambda: Local(1))
    local: Path | None = None  # for ledger, lock and indexes, where `folder` is a URL

    @property
    def home(self) -> Path:
        """The folder on this machine, for what an object store cannot hold."""
        return self.local or self.folder

    @property
    def source_context(self) -> SourceContext:
        return SourceContext(self.home / "index", self.http, self.sampling)

    @property
    def draw_settings(self) -> dict[str, object]:
        """What the order and the verdicts of candidates depend on, as far as known before the source is open."""
        validity = {f"inspect.{name}": getattr(self.inspect, name) for name in _VALIDITY_KEYS}
        return {
            "seed": self.sampling.seed,
            "sampling": self.sampling.identity,
            "source": self.source.name,
            **validity,
        }

    @property
    def sources(self) -> tuple[Source, Source]:
        return self.source, self.fallback

    @property
    def materialize(self) -> dict[str, Materialize]:
        return {source.name: source.materialize for source in reversed(self.sources)}

    @property
    def target_total(self) -> float:
        """Images wanted in all, at most."""
        return math.inf if self.nk is None else self.nk * len(self.label_map)
