"""Commands with a mistake (mistakes.txt): each is answered by one line, soon, and before torch is imported."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

RUNNER = Path(__file__).with_name("mistakes_runner.py")
SRC = RUNNER.parents[2] / "src"
MISTAKES = [
    tuple(line.split("  =>  ")) for line in RUNNER.with_name("mistakes.txt").read_text(encoding="utf-8").splitlines()
]
CPU_SECONDS = 2.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands find where they are typed."""
    made = tmp_path_factory.mktemp("mistakes")
    for name in ("bare/n01440764", "bare/n01443537", "conf/source", "conf/backbone"):
        (made / name).mkdir(parents=True)
    for name in ("empty.pth", "empty.safetensors", "emptylist.txt"):
        (made / name).touch()
    for name in ("random.pth", "random.safetensors"):
        (made / name).write_bytes(bytes(range(1, 200)) * 16)
    (made / "pointer.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    (made / "afile").write_text("x\n")
    (made / "text.txt").write_text("hello\nworld\n")
    (made / "conf/source/own.yaml").write_text("root: /data\n")
    (made / "conf/backbone/own.yaml").write_text("name: resnet18\n")
    return made


@pytest.fixture(scope="module")
def answers(folder: Path) -> dict[str, dict[str, object]]:
    """What the program answers to each command."""
    commands = [shlex.split(command) if "'" not in command else command.split(" ") for command, _ in MISTAKES]
    ended = subprocess.run(
        [sys.executable, str(RUNNER)],
        input=json.dumps(commands), cwd=folder, env=os.environ | {"PYTHONPATH": str(SRC)},
        capture_output=True, text=True, timeout=280, check=True,
    )  # fmt: skip
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    return {command: line for (command, _), line in zip(MISTAKES, lines, strict=True)}


def test_there_are_enough_mistakes() -> None:
    assert len(MISTAKES) >= 120


@pytest.mark.parametrize(("command", "says"), MISTAKES, ids=[command for command, _ in MISTAKES])
def test_mistake_is_answered_by_one_line(command: str, says: str, answers: dict[str, dict[str, object]]) -> None:
    answer = answers[command]
    assert (answer["code"], answer["stdout"], answer["torch"]) == (1, "", False)
    assert len(str(answer["stderr"]).splitlines()) == 1
    assert says in str(answer["stderr"])
    assert answer["seconds"] < CPU_SECONDS
