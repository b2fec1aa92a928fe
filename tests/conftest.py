"""What all tests share."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import forkserver
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import program
from imagenet_nk.net import retry_policy

# A busy machine is no fault of what is tested.
settings.register_profile("any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any_machine")

ROOT = Path(__file__).resolve().parent.parent
_MARK = "PYTEST_PROCESS_MARK"  # environment variable that all processes of this one's tests inherit
_CALLERS = (
    "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "PYTHONWARNINGS", "PYTHONSAFEPATH",
    "PYTHONOPTIMIZE", "TZ", "LANG", "LANGUAGE", "OMP_NUM_THREADS", "WORLD_SIZE", "RANK",
    "TQDM_DISABLE",
)  # fmt: skip
_PREFIXES = ("LC_", "HYDRA_", "RAY_", "AWS_", "MLFLOW_", "HF_", "HUGGINGFACE_", "TORCHELASTIC_", "COMP_")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "ftp_proxy", "no_proxy")
# The longest files begin first, so that no process of `pytest -n` has them left at the end.
_LONGEST = (
    "test_docs.py", "test_on_ray.py", "test_ray.py", "test_stage.py", "test_broken_web.py", "test_remote_collected.py",
    "test_distributed_run.py", "test_on_s3.py", "test_outage.py", "test_launchers.py", "test_find_run.py",
)  # fmt: skip


def _forget_caller() -> None:
    """Whoever starts the tests decides nothing about them: not by signals that it ignores (nohup), by its terminal, its
    locale, its proxies, or variables of the libraries."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for name in list(os.environ):
        if name in _CALLERS or name.startswith(_PREFIXES) or name.lower() in _PROXIES:
            del os.environ[name]
    os.environ |= {"TERM": "xterm", "LC_ALL": "C.UTF-8", _MARK: f"{os.getpid()}-{time.time_ns()}"}
    os.chdir(ROOT)
    os.umask(0o022)


_forget_caller()
# Worker processes of the tests are forked from one that has loaded what they need, once.
forkserver.set_forkserver_preload(
    ["imagenet_nk.embedding.distributed.worker", "imagenet_nk.collect.distributed.worker"]
)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """The same names in every process of `pytest -n`: a gzip file holds the time when it was made."""
    return argname if isinstance(val, bytes) and (len(val) > 20 or val[:2] == b"\x1f\x8b") else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _LONGEST.index(item.path.name) if item.path.name in _LONGEST else len(_LONGEST))


def _processes() -> list[tuple[int, str]]:
    """Number and command line of what tests of this process have started and that still runs."""
    mark, running = f"{_MARK}={os.environ[_MARK]}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if mark in (folder / "environ").read_bytes() and "from multiprocessing" not in command:
                running.append((int(folder.name), command))
    return running


@pytest.fixture(scope="session", autouse=True)
def no_process_is_left() -> Iterator[None]:
    """Whatever the tests started has ended when they end. A fork server of multiprocessing ends with its parent."""
    yield
    program.stop_zygote()
    until = time.monotonic() + 5
    while (left := _processes()) and time.monotonic() < until:
        time.sleep(0.2)
    for number, _ in left:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    assert not left, f"left running: {left}"


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries follow at once, so that no test waits for them."""
    monkeypatch.setattr(retry_policy, "BACKOFF_S", 0.0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real photographs, label files and the broken web; tests that ask for it are marked `real`."""
    folder = Path(os.environ.get("IMAGENET_NK_SHARED") or ROOT.parent / "shared")
    if not (folder / "data").is_dir():
        pytest.skip(f"no real data: {folder} is not there (IMAGENET_NK_SHARED names another folder)")
    return folder
