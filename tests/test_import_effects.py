"""Importing the package has no effect: no file but modules is opened, no CPU counted, no signal handler set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SRC = Path(__file__).resolve().parents[1] / "src"

SCRIPT = """
import builtins, importlib, io, os, pkgutil, signal, sys

OWN = os.sep + "imagenet_nk" + os.sep
effects = []

def watch(owner, name):
    function = getattr(owner, name)

    def watched(*args, **kwargs):
        if OWN in sys._getframe(1).f_code.co_filename:
            effects.append(f"{sys._getframe(1).f_code.co_filename}:{sys._getframe(1).f_lineno} calls {name}{args[:1]}")
        return function(*args, **kwargs)

    setattr(owner, name, watched)

import pathlib, resource, subprocess, threading, warnings
for owner, names in (
    (os, "cpu_count sched_getaffinity stat listdir scandir makedirs"), (builtins, "open"), (io, "open"),
    (signal, "signal"), (pathlib.Path, "open read_text read_bytes exists is_file mkdir"),
    (resource, "setrlimit"), (warnings, "filterwarnings simplefilter"), (threading.Thread, "start"),
    (subprocess, "run"),
):
    for name in names.split():
        watch(owner, name)

import imagenet_nk
for module in pkgutil.walk_packages(imagenet_nk.__path__, "imagenet_nk."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:  # of an optional package
        if error.name.startswith("imagenet_nk"):
            raise
print(len([name for name in sys.modules if name.startswith("imagenet_nk.")]))
sys.exit("\\n".join(effects) or 0)
"""


def test_importing_every_module_has_no_effect() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > 150
