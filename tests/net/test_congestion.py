from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ASK = """
import resource
import sys
sys.path.insert(0, {src!r})
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
from imagenet_nk.net.congestion import connections_within_limit
connections_within_limit({wanted})
print(connections_within_limit({wanted}), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "granted", "soft_then"),
    [
        (900, 900, 100, 100, 900),  # there is room
        (100, 900, 100, 100, 264),  # the soft limit can be raised
        (100, 200, 100, 75, 200),  # as far as the hard one
        (64, 64, 100, 16, 64),  # a small one is shared
        (30, 30, 100, 1, 30),  # one at a time goes always
    ],
)
def test_as_many_as_the_process_may_open(soft: int, hard: int, wanted: int, granted: int, soft_then: int) -> None:
    program = ASK.format(src=str(ROOT / "src"), soft=soft, hard=hard, wanted=wanted)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(granted), str(soft_then)]
    said = f"holds connections down to {granted} of {wanted}"
    assert done.stderr.count(said) == (granted < wanted)
