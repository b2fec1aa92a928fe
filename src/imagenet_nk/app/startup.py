"""How Ctrl-C ends the program while it is still importing its libraries. Imports next to nothing itself."""

import os
import signal


def exit_on_interrupt() -> None:
    """Let Ctrl-C end the process at once, with one line: no work has started yet."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _exit)


def restore_interrupt() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _exit:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _exit(number: int, frame: object) -> None:  # noqa: ARG001
    os.write(2, b"stopped before any work was done\n")
    os._exit(128 + number)
