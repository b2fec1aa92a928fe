"""`tracker=none`: the output folder is enough."""

from __future__ import annotations

from imagenet_nk.trackers.base import Tracked


class Nowhere:
    """Keeps nothing."""

    def log(self, run: Tracked) -> None:
        """Do nothing."""
