"""How many bytes of bodies are held at once, whatever their number and size."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Memory:
    """A budget that a transport and a reader share."""

    limit: int
    in_flight: int = 0  # bytes of bodies that are still coming, as last weighed
    waiting: int = 0  # of those that came whole and wait for inspection
    most: int = 0  # held at once so far

    @property
    def room(self) -> int:
        """Bytes that may still come; negative if too many have."""
        return self.limit - self.in_flight - self.waiting

    def weigh(self, in_flight: int) -> None:
        """Note what is in flight at this moment."""
        self.in_flight = in_flight
        self.most = max(self.most, in_flight + self.waiting)

    def take(self, size: int) -> None:
        """Note a body that waits for inspection."""
        self.waiting += size
        self.most = max(self.most, self.in_flight + self.waiting)

    def give(self, size: int) -> None:
        """Note that it is not held any more."""
        self.waiting -= size
