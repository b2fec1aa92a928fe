from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from imagenet_nk.storage import files
from imagenet_nk.storage.naming import PART


def test_written_file_is_complete_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "words.txt"
    files.write_text(path, "grün\n")
    files.write_text(path, "blau\n")
    assert path.read_bytes() == b"blau\n"
    assert [each.name for each in path.parent.iterdir()] == ["words.txt"]


def fail_within(path: Path) -> None:
    with files.atomic_write(path) as part:
        part.write_bytes(b"half")
        raise KeyError


def test_error_while_writing_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    files.write_bytes(path, b"old")
    with pytest.raises(KeyError):
        fail_within(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_concurrent_writers_use_different_temporary_files(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with files.atomic_write(path) as first, files.atomic_write(path) as second:
        first.write_text("first")
        second.write_text("second")
        assert first != second
    assert path.read_text() == "first"  # whose block ended last
    assert list(tmp_path.iterdir()) == [path]


KILLED = """
import os, pathlib, sys
from imagenet_nk.storage import files
with files.atomic_write(pathlib.Path(sys.argv[1])) as part:
    part.write_text("half")
    os.kill(os.getpid(), 9)
"""


def test_kill_while_writing_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    here = os.environ | {"PYTHONPATH": str(Path(files.__file__).parents[2])}
    assert subprocess.run([sys.executable, "-c", KILLED, path], env=here, check=False).returncode == -9
    assert path.read_text() == "old"
    assert all(left == path or left.name.endswith(PART) for left in tmp_path.iterdir())
