from __future__ import annotations

import threading
from collections import Counter

from collect.fuzz import drive
from collect.hostile import hostile


def test_arbitrary_responses_each_give_a_reason() -> None:
    """benchmarks/fuzz_web.py does the same for ten thousand."""
    with hostile() as server:
        reasons = Counter(drive(server, 300, seed=0))
    assert sum(reasons.values()) == 300
    assert len(reasons) > 8
    assert {"", "corrupt", "http_404"} <= set(reasons)
    assert threading.active_count() < 100
