"""The process around Hydra: one line for an error in the command, a clean exit on Ctrl-C and SIGTERM."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

from imagenet_nk.app import arguments, error_lines, startup
from imagenet_nk.app.outcome import TRACEBACKS
from imagenet_nk.run_outcome import COMPLETE, FAILED

_FOLDER_ERRORS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT})
_PATH_ERRORS = frozenset({errno.EEXIST, errno.ENOTDIR, errno.ENOENT})  # of the run's folder, before the job

_SIGNAL_BASE = 128  # plus the number of the signal, as in shells


def config_folder() -> str:
    """conf/ inside the package once that is installed from a wheel; in a clone, editable or not, beside src/."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "conf"
    return str(inside if inside.is_dir() else package.parent.parent / "conf")


def run(main: Callable[[], object]) -> None:
    """Run a Hydra main and end the process: an error in the command is one line on stderr and exit code 1.

    HYDRA_FULL_ERROR=1 leaves it a traceback.
    """
    if _is_one_of_several_ranks():
        _print_error(
            "torchrun is not supported: type engine=ray for a cluster; one process uses all cores and GPUs of a machine"
        )
        sys.exit(FAILED)
    startup.raise_open_file_limit()
    _export_pythonpath()
    sigterms = _handle_sigterm_as_sigint()
    os.environ.setdefault(TRACEBACKS, os.environ.get("HYDRA_FULL_ERROR", "0"))
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then lets exceptions through to the lines below
    warnings.filterwarnings("ignore", module=r"PIL\.")  # broken metadata of images is not the user's concern
    code = FAILED
    try:
        startup.restore_interrupt()
        code = _exit_code(main)
    except KeyboardInterrupt:
        code = _SIGNAL_BASE + (signal.SIGTERM if sigterms else signal.SIGINT)
        _exit_on_signal(code)
        _print_error("stopped; the images kept so far are complete, and the same command goes on from there")
    finally:
        _exit_on_signal(code)
    sys.exit(code)


def _is_one_of_several_ranks() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1"


def _exit_code(main: Callable[[], object]) -> int:
    """Run it; returns the exit code. A fault of the program passes."""
    try:
        sys.argv[1:] = arguments.options_first(sys.argv[1:])
        main()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or COMPLETE
        raise
    except Exception as error:
        line = error_lines.describe_user_error(error) or _folder_error_line(error)
        if line is None or os.environ[TRACEBACKS] == "1":
            raise
        _print_error(line)
        return FAILED
    return COMPLETE


def _exit_on_signal(code: int) -> None:
    """Let a signal end the process at once from here on, with the code that it was about to end with.

    A launcher may send SIGTERM at any moment, also after the last line of the run.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if callable(signal.getsignal(number)):
            signal.signal(number, lambda *_: os._exit(code))


def _handle_sigterm_as_sigint() -> list[int]:
    """Let SIGTERM, as schedulers and `kill` send it, end a run as Ctrl-C does; the list tells that one came.

    Left alone where somebody else handles it, or where Ctrl-C is ignored (nohup): it then ends the process at once.
    """
    sigterms: list[int] = []
    process = os.getpid()

    def interrupt(number: int, frame: object) -> None:  # noqa: ARG001
        if os.getpid() != process:  # a fork, whose end is not the run's
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)
        else:
            sigterms.append(number)
            signal.raise_signal(signal.SIGINT)

    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL and callable(signal.getsignal(signal.SIGINT)):
        signal.signal(signal.SIGTERM, interrupt)
    return sigterms


def _export_pythonpath() -> None:
    """Let processes that a launcher starts elsewhere import this very package, also out of a clone."""
    home = str(Path(__file__).resolve().parents[2])
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if Path(home).name == "src" and home not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([home, *filter(None, paths)])


def _folder_error_line(error: Exception) -> str | None:
    """The line for a run folder that cannot be written: Hydra makes it before any code of ours runs."""
    known = _FOLDER_ERRORS if _job_has_begun(error) else _FOLDER_ERRORS | _PATH_ERRORS
    if not isinstance(error, OSError) or error.errno not in known:
        return None
    if error.filename is None:
        return f"{error.strerror}; mend that, then run the same command again"
    return f"{error.filename}: {error.strerror}; choose another folder for the run: hydra.run.dir=DIR"


def _job_has_begun(error: Exception) -> bool:
    """Whether the error came out of the task function, not out of what Hydra does before."""
    return any(
        frame.f_code.co_filename == str(Path(__file__).with_name("main.py")) and frame.f_code.co_name == "main"
        for frame, _ in traceback.walk_tb(error.__traceback__)
    )


def _print_error(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201 - the log is not set up yet, or taken down again
