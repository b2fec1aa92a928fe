"""What a process may use of its machine."""

from __future__ import annotations

import os

from imagenet_nk.formats.numbers import parse_number


def cores() -> int:
    """Cores that this process may use: its CPU affinity, and OMP_NUM_THREADS."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = parse_number(os.environ.get("OMP_NUM_THREADS", ""), least=1)  # set by joblib and Ray
    return min(available, share or available)
