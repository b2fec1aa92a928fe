"""Ctrl-C raised only where it is safe."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def defer_sigint() -> Iterator[Callable[[], None]]:
    """Within, the first SIGINT raises KeyboardInterrupt only where the function given is called, or at the end.

    A callback of libcurl runs in the middle of C code, which prints an exception and goes on: Ctrl-C would be lost.
    Nothing changes outside the main thread, or where SIGINT is ignored or handled by someone else.
    """
    is_main_thread = threading.current_thread() is threading.main_thread()
    if not (is_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler):
        yield lambda: None
        return
    received: list[int] = []

    def note(number: int, frame: object) -> None:  # noqa: ARG001
        if received:
            raise KeyboardInterrupt
        received.append(number)

    def check() -> None:
        if received:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    check()
