"""One run at a time on a folder. The others wait, and their logs say for whom.

The lock is the operating system's (flock): it ends with its process, however that ends. Some network file systems do
not show it to other machines, so its holder also leaves a note beside it, and renews that while it lives. Whoever finds
a note from another machine watches whether it still changes: no clock is compared with that of another machine.

filelock's SoftFileLease is not used for this: others may take it over while its holder is merely suspended, and it does
not record since when it is held, which the log tells those who wait.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from imagenet_nk.errors import DatasetError
from imagenet_nk.storage import files

log = logging.getLogger(__name__)

HEARTBEAT_S = 10.0  # seconds between two renewals of a note
STALE_HEARTBEATS = 4.5  # beats without a renewal after which a holder on another machine counts as gone
POLL_S = 0.2  # seconds


@dataclass(frozen=True)
class LockOwner:
    """Who holds a lock."""

    pid: int
    host: str
    since: str  # local time of the holder
    beat: int = 0  # grows while it lives

    @classmethod
    def of_this_process(cls) -> LockOwner:
        return cls(os.getpid(), socket.gethostname(), datetime.now().astimezone().isoformat(" ", "seconds"))

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"

    @property
    def is_dead(self) -> bool:
        """Whether it is known to be: its process ran here, and there is none of that number."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass  # somebody else's, and alive
        return False


@contextmanager
def run_lock(path: Path) -> Iterator[None]:
    """Hold the lock of that file name in the block, and wait for it as long as it takes; blocks may be nested.

    Raises DatasetError for a folder that cannot be written.
    """
    lock = FileLock(path, is_singleton=True)
    if lock.is_locked:  # by this thread, further out
        yield
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _acquire(lock, path)
        _write_note(path, own := LockOwner.of_this_process())
    except OSError as error:
        lock.release()
        raise DatasetError(f"{path.parent} cannot be written ({error.strerror}): choose another dataset.dir") from error
    try:
        with _heartbeat(path, own):
            yield
    finally:
        with suppress(OSError):
            _note_path(path).unlink(missing_ok=True)
        lock.release()


def lock_owner(path: Path) -> LockOwner | None:
    """Who says to hold the lock; None if nobody does, or the note is damaged."""
    try:
        owner = LockOwner(**json.loads(files.read_regular(_note_path(path))))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    is_valid = type(owner.pid) is type(owner.beat) is int and 0 < owner.pid < 2**31 and isinstance(owner.host, str)
    return owner if is_valid else None


def _note_path(path: Path) -> Path:
    return path.with_name(path.name + ".holder")


def _acquire(lock: FileLock, path: Path) -> None:
    announced: LockOwner | None = None
    while True:
        try:
            lock.acquire(timeout=2 * POLL_S, poll_interval=POLL_S)
        except Timeout:
            announced = _log_owner(path, announced)
            continue
        owner = lock_owner(path)
        if owner is None or not _remote_owner_alive(path, owner):
            if owner:
                log.info("the run that used %s was killed (%s)", path.parent, owner)
            return
        lock.release()  # a file system that shows no lock to other machines: the note is all there is
        announced = _log_owner(path, announced)
        time.sleep(POLL_S)


def _log_owner(path: Path, announced: LockOwner | None) -> LockOwner | None:
    """Say for whom this run waits, unless it was said before; returns who that is."""
    owner = lock_owner(path)
    if owner is None or str(owner) == str(announced):  # None: about to be written, or taken away
        return announced
    log.info("%s is in use by another run (%s): waiting for it", path.parent, owner)
    if owner.is_dead:
        log.warning("that process is gone, but one that it started has the lock: end it, or remove %s", path)
    return owner


def _remote_owner_alive(path: Path, seen: LockOwner) -> bool:
    """Whether a note from another machine is renewed. One from here is of a process that the system says is gone."""
    if seen.host == socket.gethostname():
        return False
    until = time.monotonic() + STALE_HEARTBEATS * HEARTBEAT_S
    while time.monotonic() < until:
        time.sleep(min(POLL_S, HEARTBEAT_S))
        if (now := lock_owner(path)) != seen:
            return now is not None
    return False


@contextmanager
def _heartbeat(path: Path, own: LockOwner) -> Iterator[None]:
    """The note changes every BEAT seconds inside the block."""
    stopped = threading.Event()

    def renew() -> None:
        for beat in itertools.count(1):
            if stopped.wait(HEARTBEAT_S):
                return
            with suppress(OSError):
                _write_note(path, replace(own, beat=beat))

    thread = threading.Thread(target=renew, name="lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _write_note(path: Path, own: LockOwner) -> None:
    files.write_text(_note_path(path), json.dumps(asdict(own)) + "\n")
