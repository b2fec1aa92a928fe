from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import resource
import sys
sys.path.insert(0, {src!r})
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
from imagenet_nk.app import startup
startup.raise_open_file_limit()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(("soft", "hard"), [(100, 900), (900, 900)])
def test_open_file_limit_is_raised_to_the_hard_limit(soft: int, hard: int) -> None:
    program = PROGRAM.format(src=str(ROOT / "src"), soft=soft, hard=hard)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(hard), str(hard)]
