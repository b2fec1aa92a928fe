"""The program as a user starts it: a process of its own, forked from one that has loaded the libraries (zygote.py).

For what is about the start itself (imports, PYTHONPATH, options of the interpreter) start the interpreter instead.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ZYGOTE = Path(__file__).with_name("zygote.py")
SCRIPT = Path(__file__).resolve().parents[1] / "src" / "imagenet.py"


@functools.cache
def _zygote() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    ours, theirs = socket.socketpair()
    process = subprocess.Popen([sys.executable, str(ZYGOTE), str(theirs.fileno())], pass_fds=[theirs.fileno()])
    theirs.close()
    return ours, process


def stop_zygote() -> None:
    """End it, if it was needed. Runs of the program that go on are not ended."""
    if _zygote.cache_info().currsize:
        control, process = _zygote()
        control.close()
        process.wait(20)
        _zygote.cache_clear()


class Program:
    """A run of the program. `stdout` and `stderr` can be read as it goes on."""

    def __init__(
        self,
        *arguments: object,
        script: Path = SCRIPT,
        cwd: Path | str = ".",
        env: Mapping[str, str] | None = None,
        new_session: bool = False,
    ) -> None:
        """`script`: another program under the same libraries. `env`: all variables of the process."""
        self.returncode: int | None = None
        link, theirs = socket.socketpair()
        out, to_out = os.pipe()
        err, to_err = os.pipe()
        with Path(os.devnull).open() as nothing:
            streams = [nothing.fileno(), to_out, to_err]
            socket.send_fds(_zygote()[0], [b"."], [theirs.fileno(), *streams])
        for descriptor in (theirs.detach(), to_out, to_err):
            os.close(descriptor)
        request = {
            "script": str(script.absolute()),
            "arguments": [str(argument) for argument in arguments],
            "environment": dict(os.environ if env is None else env),
            "folder": str(Path(cwd).absolute()),
            "new_session": new_session,
        }
        link.sendall(f"{json.dumps(request)}\n".encode())
        self._link = link.makefile()
        self.pid = int(self._link.readline())
        self._socket = link
        self.stdout, self.stderr = os.fdopen(out), os.fdopen(err)

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float = 100) -> tuple[str, str]:
        """What is left of its stdout and stderr, once it has ended; it is killed after so many seconds."""
        alarm = threading.Timer(timeout, self.kill)
        alarm.start()
        texts: dict[str, str] = {}
        reader = threading.Thread(target=lambda: texts.update(err=self.stderr.read()))
        reader.start()
        try:
            out = self.stdout.read()
            reader.join()
            self.returncode = int(self._link.readline())
        finally:
            alarm.cancel()
            for file in (self.stdout, self.stderr, self._link, self._socket):
                file.close()
        return out, texts["err"]

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        if self.returncode is None:
            self.kill()
            self.communicate()


def run(*arguments: object, timeout: float = 200, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    with Program(*arguments, **how) as program:
        out, err = program.communicate(timeout)
    return subprocess.CompletedProcess([*map(str, arguments)], program.returncode or 0, out, err)
