from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import program

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"
SCRIPT = ROOT / "src" / "imagenet.py"
HEAVY = {"torch", "torchvision", "timm", "pandas", "pyarrow", "PIL", "numpy", "pycurl", "simplejpeg"}


def run(folder: Path, *arguments: str, python: tuple[str, ...] = (), **env: str) -> subprocess.CompletedProcess[str]:
    """The program as a user starts it, in an empty folder; `env` adds variables. By an interpreter of its own where
    its start is what is tested."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("HYDRA", "IMAGENET_NK", "COMP_"))
    }
    if not python and "PYTHONPATH" not in env:
        return program.run(*arguments, cwd=folder, env=clean | env)
    return subprocess.run(
        [sys.executable, *python, str(SCRIPT), *arguments],
        cwd=folder, env=clean | env, capture_output=True, text=True, timeout=100,
    )  # fmt: skip


@pytest.fixture(scope="module")
def help_text(tmp_path_factory: pytest.TempPathFactory) -> str:
    ended = run(tmp_path_factory.mktemp("help"), "--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.replace(str(SCRIPT), "src/imagenet.py")  # as a user types it in a clone


def choices_listed(help_text: str) -> dict[str, set[str]]:
    """Group -> choices, out of lines such as `split      eval_only, holdout       what it is for`."""
    groups = help_text.partition("Groups")[2].partition("\n\n")[0]
    listed = {}
    for block in re.split(r"\n {2}(?=\S)", groups)[1:]:
        group, rest = re.sub(r",\s+", ", ", block).split(None, 1)
        choices = re.split(r" {2,}", rest)[0].split(", ")
        listed[group] = {choice.removeprefix("and ").split()[0] for choice in choices}
    return listed


def test_help_names_every_choice_and_no_other(help_text: str) -> None:
    folders = [folder for folder in CONF.iterdir() if folder.is_dir() and folder.name != "hydra"]
    there = {folder.name: {file.stem for file in folder.glob("*.yaml")} for folder in folders}
    listed = choices_listed(help_text)
    fallback = listed.pop("source@fallback")
    assert fallback <= there["source"]
    assert listed["source"] | fallback == there.pop("source")
    assert {group: listed[group] for group in there} == there, "mend conf/hydra/help/imagenet.yaml"


def test_help_of_the_command_has_usage_and_examples(help_text: str) -> None:
    examples = help_text.partition("Examples")[2].partition("More")[0]
    assert len(re.findall(r"python src/imagenet\.py", examples)) == 5
    assert "Exit code: 0 complete; 1" in help_text
    assert max(map(len, help_text.splitlines())) <= 120


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--help"], 0), (["--cfg", "job"], 0), (["nkk=5"], 1), (["backbone=resnet51"], 1)]
)
def test_help_imports_no_heavy_library(arguments: list[str], code: int, tmp_path: Path) -> None:
    ended = run(tmp_path, *arguments, python=("-X", "importtime"))
    assert ended.returncode == code
    imported = {name.partition(".")[0] for name in re.findall(r"^import time:.*\| +(\S+)$", ended.stderr, re.MULTILINE)}
    assert "hydra" in imported
    assert not imported & HEAVY


def test_cfg_job_shows_the_whole_configuration(tmp_path: Path) -> None:
    ended = run(tmp_path, "--cfg", "job", "nk=3", "split=holdout")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "\nnk: 3\n" in "\n" + ended.stdout
    assert "eval_per_class: 2" in ended.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nkk=5"], "there is no key 'nkk'; did you mean nk?"),
        (["nk=["], "cannot read nk=["),
        (["-m", "backbone=resnet18,resnet99"], "there is no backbone=resnet99; did you mean"),
        (["nk=0"], "nk must be at least 1, or null for all that the source has, got 0"),
        (["backbone=timm"], "backbone.name must be given"),
        (["+extra=1"], "there is no key 'extra' to add"),
    ],
)
def test_user_error_is_one_line_with_exit_code_1(arguments: list[str], says: str, tmp_path: Path) -> None:
    ended = run(tmp_path, *arguments)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert says in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(("argument", "raised"), [("nkk=5", "ConfigCompositionException"), ("nk=0", "ConfigError")])
def test_hydra_full_error_shows_the_traceback(argument: str, raised: str, tmp_path: Path) -> None:
    ended = run(tmp_path, argument, HYDRA_FULL_ERROR="1")
    assert ended.returncode == 1
    assert "Traceback (most recent call last)" in ended.stderr
    assert raised in ended.stderr


def test_completion_is_installed_and_answers(tmp_path: Path) -> None:
    script = run(tmp_path, "-sc", "install=bash")
    assert script.returncode == 0
    assert "complete" in script.stdout
    line = f"python {SCRIPT} backbone=resn"
    answer = run(tmp_path, "-sc", "query=bash", COMP_LINE=line, COMP_POINT=str(len(line)))
    assert answer.returncode == 0
    assert answer.stdout.split() == ["backbone=resnet101", "backbone=resnet18", "backbone=resnet50"]


def test_ctrl_c_during_start_is_one_line(tmp_path: Path) -> None:
    """A module that is loaded early gets it, whichever it is on a given machine."""
    (tmp_path / "hydra.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    ended = run(tmp_path, "--help", PYTHONPATH=str(tmp_path))
    assert (ended.returncode, ended.stderr) == (130, "stopped before any work was done\n")


def test_torchrun_with_several_ranks_is_refused_in_one_line(tmp_path: Path) -> None:
    ended = run(tmp_path, "source=demo", TORCHELASTIC_RUN_ID="none", WORLD_SIZE="2", RANK="0")
    assert ended.returncode == 1
    assert ended.stderr.startswith("torchrun is not supported: type engine=ray")
    assert ended.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
