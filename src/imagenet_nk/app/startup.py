"""What happens before anything is imported: Ctrl-C ends the program at once, and it may open more files."""

import os
import resource
import signal
from contextlib import suppress

_OPEN_FILES = 8192  # enough for 4,000 connections; many systems start programs with a soft limit of 1,024 or 256


def exit_on_interrupt() -> None:
    """Let Ctrl-C end the process at once, with one line: no work has started yet."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _exit)


def restore_interrupt() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _exit:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def raise_open_file_limit() -> None:
    """Raise the soft limit of open files of this process, and so of its workers, towards the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < target:
        with suppress(ValueError, OSError):  # some systems have a limit below the one that they name
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))


def _exit(number: int, frame: object) -> None:  # noqa: ARG001
    os.write(2, b"stopped before any work was done\n")
    os._exit(128 + number)
