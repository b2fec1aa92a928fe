"""What a process may use of its machine."""

from __future__ import annotations

import os


def cores() -> int:
    """Cores that this process may use: its CPU affinity, and OMP_NUM_THREADS."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = os.environ.get("OMP_NUM_THREADS", "")  # set by joblib and Ray
    return min(available, int(share)) if share.isdigit() and int(share) else available
