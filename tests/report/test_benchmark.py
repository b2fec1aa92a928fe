from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "report.py"


def test_the_benchmark_of_the_report_measures(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--classes", "5", "--images", "2", "--dim", "8", "--keep", "kept"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert ended.returncode == 0, ended.stderr
    figures = json.loads(ended.stdout)
    assert (figures["classes"], figures["images"]) == (5, 10)
    assert figures["write_s"] >= 0
    assert (tmp_path / "kept" / "index.html").is_file()
