"""Reasons of rejection that several packages need."""

from __future__ import annotations

# The reason that stands for all that could not be listed of a class: how much that is, none knows.
UNLISTED = "unlisted"


TRANSIENT_FAULTS = frozenset({"timeout", "too_slow", "refused", "no_dns", "reset", "truncated"})
