"""Runs many commands of the program in forks of one process that has imported Hydra; a second each would be too slow.

Reads a JSON list of argument lists on stdin; writes for each, as a line of JSON: exit code, stdout, stderr, seconds,
and whether torch was imported.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import tempfile
from typing import IO

import hydra  # noqa: F401 - before the forks

import imagenet_nk.app.job_setup
import imagenet_nk.app.stages  # noqa: F401
from imagenet_nk import config
from imagenet_nk.app import main as entry

LIMIT_S = 4


def main() -> None:
    config.register()
    for arguments in json.load(sys.stdin):
        sys.stdout.write(json.dumps(run(arguments)) + "\n")
        sys.stdout.flush()


def run(arguments: list[str]) -> dict[str, object]:
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if child == 0:
            _become(arguments, out, err)
        _, status, used = os.wait4(child, 0)
        seconds = used.ru_utime + used.ru_stime  # of CPU: a busy machine is no fault of the program
        texts = [stream.seek(0) or stream.read() for stream in (out, err)]
    code = os.waitstatus_to_exitcode(status)
    return {
        "arguments": arguments, "code": code & 127, "torch": code >= 128, "seconds": seconds,
        "stdout": texts[0], "stderr": texts[1],
    }  # fmt: skip


def _become(arguments: list[str], out: IO[str], err: IO[str]) -> None:
    """End as the program with these arguments does; 128 is added to the exit code if torch was imported."""
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S))
    signal.alarm(60)
    sys.argv = ["imagenet.py", *arguments]
    code = 99
    try:
        entry.run()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code + 128 * ("torch" in sys.modules))


if __name__ == "__main__":
    main()
