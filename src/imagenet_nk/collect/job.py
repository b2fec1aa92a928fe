"""What is to be collected, how, and where to: one call of the stage."""

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

ProgressCallback = Callable[[Progress], None]  # called five times a second while candidates are asked

_JUDGED_BY = ("min_side", "max_pixels", "placeholder_urls")  # of inspect.*: what settles an image for good


@dataclass(frozen=True)
class Job:
    """Plain settings and the parts made of them; nothing is open yet."""

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
    fingerprint: str  # of all settings that the outcome depends on; the same again = nothing to do
    engine: Engine = field(default_factory=lambda: Local(1))
    local: Path | None = None  # for ledger, lock and indexes, where `folder` is a URL

    @property
    def home(self) -> Path:
        """The folder of this machine for what cannot lie in an object store."""
        return self.local or self.folder

    @property
    def source_context(self) -> SourceContext:
        return SourceContext(self.home / "index", self.http, self.sampling)

    @property
    def draw_settings(self) -> dict[str, object]:
        """What the candidates' order and verdicts depend on, as far as it is known before the source is open."""
        judged = {f"inspect.{name}": getattr(self.inspect, name) for name in _JUDGED_BY}
        return {
            "seed": self.sampling.seed,
            "sampling": self.sampling.identity,
            "source": self.source.name,
            **judged,
        }

    @property
    def sources(self) -> tuple[Source, Source]:
        return self.source, self.fallback

    @property
    def materialize(self) -> dict[str, Materialize]:
        return {source.name: source.materialize for source in reversed(self.sources)}

    @property
    def target_total(self) -> float:
        """How many are wanted, at most."""
        return math.inf if self.nk is None else self.nk * len(self.label_map)
