"""Exit codes of a job, and the file that records how it ended."""

from __future__ import annotations

COMPLETE, FAILED, SHORT = 0, 1, 3


FILE = "outcome.json"
