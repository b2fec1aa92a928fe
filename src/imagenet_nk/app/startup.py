"""Imported first: Ctrl-C while the program loads ends it at once, for nothing has begun. Imports next to nothing."""

import os
import signal
import sys


def _end(number: int, frame: object) -> None:  # noqa: ARG001
    os.write(2, b"stopped before anything began\n")
    os._exit(128 + number)


def loaded() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_child() -> bool:
    """Whether a process of ours that multiprocessing started loads the same script once more."""
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


if signal.getsignal(signal.SIGINT) is signal.default_int_handler and not _is_child():
    signal.signal(signal.SIGINT, _end)
