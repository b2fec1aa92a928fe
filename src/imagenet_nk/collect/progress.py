"""How far a collection is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from imagenet_nk.net.host_table import HostTable


@dataclass
class Progress:
    """Numbers for the display."""

    classes: int
    hosts: HostTable
    wanted: int | None = None  # images in all; None = as many as there are
    done: int = 0  # classes full or exhausted
    kept: int = 0  # images so far, with those of earlier runs
    images: int = 0  # valid ones of this run
    bytes: int = 0
    requests: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add_requests(self, part: Progress) -> None:
        """Add what another process did."""
        self.images += part.images
        self.bytes += part.bytes
        self.requests += part.requests
        self.reasons.update(part.reasons)
