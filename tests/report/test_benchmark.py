from __future__ import annotations

import json
from pathlib import Path

import program

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "report.py"


def test_report_benchmark_runs(tmp_path: Path) -> None:
    options = ["--classes", "5", "--images", "2", "--dim", "8", "--keep", "kept"]
    ended = program.run(*options, script=SCRIPT, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    figures = json.loads(ended.stdout)
    assert (figures["classes"], figures["images"]) == (5, 10)
    assert figures["write_s"] >= 0
    assert (tmp_path / "kept" / "index.html").is_file()
