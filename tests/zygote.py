"""A process that has loaded what the program loads and forks for each run of it: see program.py, which starts it.

Each run is a process of its own, with its own folder, environment, signals and exit code; it lacks only the seconds of
loading. Nothing here starts a thread before a fork.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import multiprocessing.process
import os
import pkgutil
import runpy
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path

SRC = Path(__file__).resolve().parent.parent / "src"


def load() -> None:
    """Import the package and the libraries that its functions import."""
    import imagenet_nk

    for module in pkgutil.walk_packages(imagenet_nk.__path__, "imagenet_nk."):
        with suppress(ImportError):
            importlib.import_module(module.name)
    for name in ("hydra.main", "timm", "torchvision.transforms", "hydra._internal.utils", "pyarrow.parquet"):
        importlib.import_module(name)
    gc.freeze()  # a collection in a fork then copies no page of theirs


def serve(control: socket.socket) -> list[str]:
    """Fork for each request; returns in the child, with the command line of its run."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors leave nothing to wait for
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 4)
        if not message:
            os._exit(0)  # the tests are over
        if os.fork() == 0:
            control.close()
            return supervise(*descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def supervise(link: int, *streams: int) -> list[str]:
    """Fork again, tell the number of the process and wait for its end; returns in the child."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    caller = socket.socket(fileno=link)
    with caller.makefile() as lines:
        request = json.loads(lines.readline())
    child = os.fork()
    if child == 0:
        caller.close()
        return become(request, streams)
    for stream in streams:
        os.close(stream)
    caller.sendall(f"{child}\n".encode())
    _, status = os.waitpid(child, 0)
    with suppress(OSError):
        caller.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def become(request: dict[str, object], streams: tuple[int, ...]) -> list[str]:
    """Take on what a started process would have of its caller."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[arg-type]
    os.chdir(str(request["folder"]))
    multiprocessing.process.ORIGINAL_DIR = str(request["folder"])
    if request["new_session"]:
        os.setsid()
    return [str(request["script"]), *request["arguments"]]  # type: ignore[misc]


if __name__ == "__main__":
    sys.path[0] = str(SRC)
    load()
    sys.argv = serve(socket.socket(fileno=int(sys.argv[1])))
    sys.path.insert(0, str(Path(sys.argv[0]).parent))
    code: object = 0
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        code = end.code or 0
    if not isinstance(code, int):
        sys.exit(str(code))
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code)  # taking down the libraries takes longer than many a run
