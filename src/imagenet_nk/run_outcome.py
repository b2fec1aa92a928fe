"""Run outcome."""

from __future__ import annotations

COMPLETE, FAILED, SHORT = 0, 1, 3


FILE = "outcome.json"
