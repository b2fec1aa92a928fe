"""What conftest.py promises: the caller of the tests does not show in them, and no process outlives them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent
INNER = """
import os, signal, subprocess, sys, locale
from pathlib import Path

def test_the_caller_does_not_show():
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert Path.cwd() == Path(os.environ["TESTS"]).parent
    assert not {"NO_COLOR", "COLUMNS", "HYDRA_FULL_ERROR", "https_proxy"} & set(os.environ)
    asked = "import shutil, sys; print(shutil.get_terminal_size().columns, sys.stdout.encoding)"
    assert subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True).stdout == "80 utf-8\\n"

def test_that_leaves_a_process():
    subprocess.Popen(["sh", "-c", "sleep 100 & exec sleep 100"], start_new_session=True)
"""


def test_caller_decides_nothing_and_a_process_that_is_left_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "test_inner.py").write_text(INNER)
    caller = {
        "NO_COLOR": "1",
        "COLUMNS": "20",
        "HYDRA_FULL_ERROR": "1",
        "https_proxy": "http://127.0.0.1:9",
        "LC_ALL": "C",
    }
    words = [
        "-q",
        "-p",
        "conftest",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore",
        "--rootdir",
        str(tmp_path),
        "test_inner.py",
    ]
    ended = subprocess.run(
        ["sh", "-c", 'trap "" INT TERM; exec "$@"', "-", sys.executable, "-m", "pytest", *words],
        cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False,
        env=os.environ | caller | {"PYTHONPATH": f"{TESTS}:{TESTS.parent / 'src'}", "TESTS": str(TESTS)},
    )  # fmt: skip
    assert "2 passed, 1 error" in ended.stdout, ended.stdout + ended.stderr
    assert ended.stdout.count("sleep 100") >= 2
    assert "left running" in ended.stdout
