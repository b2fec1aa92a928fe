from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from imagenet_nk.config import HttpConfig
from imagenet_nk.net.congestion import CongestionWindow

ROOT = Path(__file__).resolve().parents[2]
ASK = """
import resource
import sys
sys.path.insert(0, {src!r})
resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, {limit}))
from imagenet_nk.net.congestion import connections_within_limit
connections_within_limit({requested})
print(connections_within_limit({requested}), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("limit", "requested", "allowed"),
    [
        (900, 100, 100),  # enough
        (200, 100, 75),
        (64, 100, 16),  # a small limit is shared with other files
        (30, 100, 1),  # one connection is always allowed
    ],
)
def test_connections_stay_within_the_limit_of_open_files(limit: int, requested: int, allowed: int) -> None:
    program = ASK.format(src=str(ROOT / "src"), limit=limit, requested=requested)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(allowed), str(limit)], "the limit itself is not changed"
    assert done.stderr.count(f"holds connections down to {allowed} of {requested}") == (allowed < requested)


def test_congestion_window_shrinks_when_late_and_grows_when_quick() -> None:
    for late in ((3.0, 0.1), (0.1, 9.0)):
        window = CongestionWindow(HttpConfig(concurrency=256, first_byte_timeout=4, deadline=10))
        begin = window.limit
        for _ in range(300):
            window.observe(*late)
        assert window.limit == 4
        window.observe(0.1, 0.1, may_grow=False)
        assert window.limit == 4
        for _ in range(600):
            window.observe(0.1, 0.1)
        assert window.limit == 256 > begin
    assert CongestionWindow(HttpConfig(concurrency=1)).limit == 1
