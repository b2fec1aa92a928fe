"""The process around Hydra: one line for a mistake in the command, a calm end on Ctrl-C."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from imagenet_nk import mistakes
from imagenet_nk.outcome import FAILED, TRACEBACKS

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def config_folder(script: Path) -> str:
    """conf/ beside the script's folder in a clone; inside the package once installed from a wheel."""
    clone = script.resolve().parent.parent / "conf"
    return str(clone if (clone / "imagenet.yaml").is_file() else Path(__file__).parent / "conf")


def run(main: Callable[[], object]) -> None:
    """Run a Hydra main and end the process: an error in the command is one line on stderr and exit code 1.

    HYDRA_FULL_ERROR=1 leaves it a traceback.
    """
    os.environ.setdefault(TRACEBACKS, os.environ.get("HYDRA_FULL_ERROR", "0"))
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then lets exceptions through to the lines below
    try:
        main()
    except KeyboardInterrupt:
        print("stopped; what was kept so far is whole, and the same command goes on from there", file=sys.stderr)  # noqa: T201
        sys.exit(INTERRUPTED)
    except Exception as error:
        line = mistakes.one_line(error)
        if line is None or os.environ[TRACEBACKS] == "1":
            raise
        print(line, file=sys.stderr)  # noqa: T201
        sys.exit(FAILED)
