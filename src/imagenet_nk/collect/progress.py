"""How far a collection is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from imagenet_nk.net.host_table import HostTable


@dataclass
class Progress:
    """Numbers for whoever watches."""

    classes: int
    hosts: HostTable
    wanted: int | None = None  # images in all; None = as many as there are
    done: int = 0  # classes full or exhausted
    kept: int = 0  # images so far, those of earlier runs included
    images: int = 0  # valid ones, in all
    bytes: int = 0
    requests: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
