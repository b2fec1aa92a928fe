"""What a process may use of its machine."""

from __future__ import annotations

import os

from imagenet_nk.engine import torchrun


def cores() -> int:
    """Cores that this process may use: its share of the machine, where others have theirs."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if torchrun.world() > 1:  # it sets OMP_NUM_THREADS to 1, whatever there is
        return max(there // torchrun.local_world(), 1)
    share = os.environ.get("OMP_NUM_THREADS", "")  # how joblib and Ray say it
    return min(there, int(share)) if share.isdigit() and int(share) else there
