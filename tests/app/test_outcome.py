"""A small Hydra program of its own under the callback and cli.run: its jobs end as `how` says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from program import Program
from program import run as run_script

PROGRAM = """
import atexit, os, sys, time
import hydra
from imagenet_nk.app import cli
from imagenet_nk.errors import ConfigError
from imagenet_nk.sampling.draw_order import Holdout
from hydra.utils import instantiate

@hydra.main(version_base="1.3", config_path=".", config_name="program")
def main(cfg):
    print("job", cfg.how, flush=True)
    if cfg.how == "mistake":
        raise ConfigError("what is wrong")
    if cfg.how == "part":
        instantiate({"_target_": "imagenet_nk.sampling.draw_order.Holdout", "eval_per_class": 0})
    if cfg.how == "fault":
        raise ZeroDivisionError("a fault of the program")
    if cfg.how == "wait":
        time.sleep(60)
    return {"short": 3, "none": None}.get(cfg.how, 0)

if "LATE" in os.environ:
    atexit.register(lambda: (os.kill(os.getpid(), int(os.environ["LATE"])), time.sleep(60)))
cli.run(main)
"""

CONFIG = """
how: good
hydra:
  output_subdir: null
  run: {dir: out}
  sweep: {dir: sweep, subdir: 'job/${hydra.job.num}'}
  callbacks: {outcome: {_target_: imagenet_nk.app.outcome.Outcome}}
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "program.yaml").write_text(CONFIG)
    return tmp_path / "program.py"


def environment(**more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HYDRA", "IMAGENET_NK"))}
    return clean | {"PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src")} | more


def run(program: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return run_script(*arguments, script=program, cwd=program.parent, env=environment(**env))


def outcome(folder: Path) -> dict[str, object]:
    return json.loads((folder / "outcome.json").read_text())


@pytest.mark.parametrize(
    ("how", "code", "reason"),
    [
        ("good", 0, ""),
        ("none", 0, ""),
        ("short", 3, ""),
        ("mistake", 1, "what is wrong"),
        ("part", 1, "split.eval_per_class must be at least 1, got 0"),
    ],
)
def test_failed_job_writes_outcome_without_traceback(how: str, code: int, reason: str, program: Path) -> None:
    ended = run(program, f"how={how}")
    assert ended.returncode == code
    assert outcome(program.parent / "out") == {"exit_code": code, "reason": reason}
    assert "Traceback" not in ended.stderr
    lines = [line for line in ended.stdout.splitlines() + ended.stderr.splitlines() if reason and reason in line]
    assert len(lines) == (1 if reason else 0)


def test_user_error_has_a_traceback_with_hydra_full_error(program: Path) -> None:
    ended = run(program, "how=mistake", HYDRA_FULL_ERROR="1")
    assert ended.returncode == 1
    assert "Traceback" in ended.stdout + ended.stderr
    assert "ConfigError: what is wrong" in ended.stdout + ended.stderr


def test_program_fault_keeps_its_traceback(program: Path) -> None:
    ended = run(program, "how=fault")
    assert ended.returncode == 1
    assert "ZeroDivisionError: a fault of the program" in ended.stderr
    assert outcome(program.parent / "out") == {
        "exit_code": 1,
        "reason": "ZeroDivisionError: a fault of the program",
    }


def test_sweep_continues_after_a_user_error_and_exits_1(program: Path) -> None:
    ended = run(program, "-m", "how=mistake,part,short,good")
    assert ended.returncode == 1
    assert [line for line in ended.stdout.splitlines() if line.startswith("job")] == [
        "job mistake", "job part", "job short", "job good",
    ]  # fmt: skip
    jobs = program.parent / "sweep" / "job"
    assert [outcome(jobs / str(number))["exit_code"] for number in range(4)] == [1, 1, 3, 0]
    assert "Traceback" not in ended.stderr


def test_sweep_exits_with_the_worst_code_of_its_jobs(program: Path) -> None:
    assert run(program, "-m", "how=short,good").returncode == 3
    assert run(program, "-m", "how=good").returncode == 0, "job 1 of the earlier sweep is not this one's"
    assert run(program, "-m", "how=good,none").returncode == 0


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_without_traceback(program: Path, sent: signal.Signals) -> None:
    with Program("how=wait", script=program, cwd=program.parent, env=environment()) as process:
        assert process.stdout.readline() == "job wait\n"
        time.sleep(0.2)
        process.send_signal(sent)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + sent
    assert "the same command goes on from there" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("how", "code"), [("good", 0), ("short", 3), ("mistake", 1)])
def test_signal_after_the_run_changes_nothing(how: str, code: int, sent: signal.Signals, program: Path) -> None:
    ended = run(program, f"how={how}", LATE=str(int(sent)))
    assert ended.returncode == code
    assert "Traceback" not in ended.stdout + ended.stderr
