"""Ten thousand arbitrary answers through the transport and the inspector: no crash, no hang, no leak.

    python benchmarks/fuzz_web.py [cases] [seed]

Prints how the cases ended, the time, and memory and descriptors at a tenth and at the end.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:1] = [str(ROOT / "src"), str(ROOT / "tests")]  # not this folder: it has a collect.py

from collect.fuzz import drive  # noqa: E402
from collect.hostile import hostile  # noqa: E402


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def main(cases: int = 10_000, seed: int = 0) -> None:
    reasons: Counter[str] = Counter()
    started = time.monotonic()
    early = (0.0, 0)
    with hostile() as server:
        for number, reason in enumerate(drive(server, cases, seed)):
            reasons[reason or "image"] += 1
            server.clear()
            if number == cases // 10:
                early = resident_mb(), descriptors()
        late = resident_mb(), descriptors()
    print(", ".join(f"{reason} {count}" for reason, count in reasons.most_common()))
    print(f"{cases} cases, seed {seed}, {time.monotonic() - started:.1f} s")
    print(f"memory {early[0]:.0f} MB at a tenth, {late[0]:.0f} MB at the end; descriptors {early[1]}, {late[1]}")
    assert late[0] < early[0] + 64, "memory grows"
    assert late[1] < early[1] + 80, "descriptors are left open"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
