"""`tracker=none`: the output folder is enough."""

from __future__ import annotations

from imagenet_nk.trackers.base import RunRecord


class NullTracker:
    """Keeps nothing."""

    def log(self, run: RunRecord) -> None:
        """Do nothing."""
