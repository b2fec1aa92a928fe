from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from imagenet_nk.storage import files
from imagenet_nk.storage.naming import PART


def test_a_file_is_whole_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "words.txt"
    files.write_text(path, "grün\n")
    files.write_text(path, "blau\n")
    assert path.read_bytes() == b"blau\n"
    assert [each.name for each in path.parent.iterdir()] == ["words.txt"]


def fail_within(path: Path) -> None:
    with files.atomic_write(path) as part:
        part.write_bytes(b"half")
        raise KeyError


def test_an_error_within_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    files.write_bytes(path, b"old")
    with pytest.raises(KeyError):
        fail_within(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
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


def test_killed_while_writing(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    here = os.environ | {"PYTHONPATH": str(Path(files.__file__).parents[2])}
    assert subprocess.run([sys.executable, "-c", KILLED, path], env=here, check=False).returncode == -9
    assert path.read_text() == "old"
    assert all(left == path or left.name.endswith(PART) for left in tmp_path.iterdir())
