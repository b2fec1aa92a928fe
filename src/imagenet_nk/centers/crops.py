"""Which pixels a pass uses, and crops that stay on disk for the next backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imagenet_nk.centers.pixels import Crops, Exact, Fast
from imagenet_nk.config import Pixels


def choose(data: Mapping[str, Any], wanted: Pixels) -> Crops:
    """The crops that a configuration asks for."""
    return Fast(data) if wanted == Pixels.fast else Exact(data)
