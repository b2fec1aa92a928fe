"""One run at a time: against real processes, and notes as another machine would leave them."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from imagenet_nk.errors import DatasetError
from imagenet_nk.storage import run_lock as run_lock_module
from imagenet_nk.storage.run_lock import LockOwner, lock_owner, run_lock

SRC = Path(__file__).resolve().parents[2] / "src"
HOLDS = """
import sys, time
from pathlib import Path
from imagenet_nk.storage.run_lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("has it", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / ".lock"


def other(path: Path, seconds: float) -> subprocess.Popen[str]:
    """Another process that has the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(path), str(seconds)],
        env=os.environ | {"PYTHONPATH": str(SRC)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "has it\n"
    return process


def note(path: Path, of: LockOwner) -> None:
    path.parent.mkdir(exist_ok=True)
    path.with_name(path.name + ".holder").write_text(json.dumps(dataclasses.asdict(of)))


def test_lock_owner_is_recorded_while_the_lock_is_held(path: Path) -> None:
    with run_lock(path), run_lock(path):  # nested, as the stages are in a run
        there = lock_owner(path)
        assert there is not None
        assert (there.pid, there.host) == (os.getpid(), socket.gethostname())
    assert lock_owner(path) is None
    with run_lock(path):
        pass


def test_run_waits_for_the_lock_and_logs_its_owner(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with other(path, 1.0) as process, caplog.at_level(logging.INFO), run_lock(path):
        assert process.wait(10) == 0
    (line,) = caplog.messages
    assert f"{path.parent} is in use by another run (process {process.pid} on {socket.gethostname()}, since " in line


def test_lock_of_a_killed_process_is_free(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    process = other(path, 100)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with caplog.at_level(logging.INFO), run_lock(path):
        assert lock_owner(path) != LockOwner(process.pid, socket.gethostname(), "")
    assert f"was killed (process {process.pid} on" in caplog.text


def test_lock_inherited_from_a_dead_owner_is_logged(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A process that the dead one started may still have its file open."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with other(path, 1.0) as process, caplog.at_level(logging.INFO):
        note(path, LockOwner(gone.pid, socket.gethostname(), "noon"))
        with run_lock(path):
            assert process.wait(10) == 0
    assert "that process is gone, but one that it started has the lock" in caplog.text


class TestWhereNoLockIsSeenFromAnotherMachine:
    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(run_lock_module, "HEARTBEAT_S", 0.1)

    def test_stale_remote_lock_is_taken_over(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        note(path, LockOwner(1, "elsewhere", "noon"))
        with caplog.at_level(logging.INFO), run_lock(path):
            pass
        assert "was killed (process 1 on elsewhere, since noon)" in caplog.text

    def test_renewed_remote_lock_is_respected(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        ended = threading.Event()

        def live() -> None:
            for beat in range(15):
                note(path, LockOwner(1, "elsewhere", "noon", beat))
                time.sleep(0.1)
            path.with_name(".lock.holder").unlink()
            ended.set()

        thread = threading.Thread(target=live)
        thread.start()
        time.sleep(0.05)
        with caplog.at_level(logging.INFO), run_lock(path):
            assert ended.is_set()
        thread.join()
        assert "in use by another run (process 1 on elsewhere, since noon)" in caplog.text

    def test_owner_renews_its_heartbeat(self, path: Path) -> None:
        with run_lock(path):
            until = time.monotonic() + 10
            while (there := lock_owner(path)) and there.beat < 2 and time.monotonic() < until:
                time.sleep(0.02)
            assert there is not None
            assert there.beat >= 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_folder_is_one_line(path: Path) -> None:
    path.parent.mkdir()
    path.parent.chmod(0o500)
    with (
        pytest.raises(DatasetError, match=r"cannot be written \(Permission denied\): choose another dataset\.dir"),
        run_lock(path),
    ):
        pass


def test_folder_below_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="cannot be written"), run_lock(tmp_path / "file" / "data" / ".lock"):
        pass


@pytest.mark.parametrize(
    "note", ["[" * 100_000, "", "{", "\x00", "[]", '{"pid": "1", "host": "h", "since": "s"}', '{"pid": 1e999}']
)
def test_damaged_note_is_no_owner(note: str, tmp_path: Path) -> None:
    (tmp_path / ".lock.holder").write_text(note, encoding="utf-8")
    assert lock_owner(tmp_path / ".lock") is None
    with run_lock(tmp_path / ".lock"):
        assert lock_owner(tmp_path / ".lock") is not None
