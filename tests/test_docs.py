"""What README and docs tell people to type: executed, or marked with what it needs; and composed in any case."""

from __future__ import annotations

import csv
import functools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import program
from imagenet_nk import config
from imagenet_nk.report import sweep

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *(page for page in [ROOT / "README.md"] if page.is_file())]
NEEDS = re.compile(r"\(needs [^)]+\)")  # a line before a block: it is not executed here
# The Python of these pages works on a run of photographs under published weights: here on one of drawn pictures.
_ON_A_RUN = {"centers.md", "README.md", "reproducing.md"}
RUN = "python src/imagenet.py source=demo nk=4 split=holdout split.eval_per_class=1"
PLACES = "dataset.dir=dataset/imagenet hydra.run.dir=outputs/2026-01-31/12-00-00"  # as the pages name them
STOOD_IN = {'"resnet50", pretrained=True': '"test_resnet", pretrained=False'}  # what would need the internet
GIVEN = "import torch\nimages = torch.rand(2, 3, 160, 160)\n"  # what a reader has at hand
PYTHON = "python"


class Block(NamedTuple):
    """A block of code of a page."""

    page: Path
    line: int
    language: str
    text: str
    marked: bool  # its paragraph says what it needs


def blocks(page: Path) -> list[Block]:
    """Fenced blocks, and those that are indented by four spaces after an empty line."""
    found: list[Block] = []
    paragraph, last, lines = "", "", page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        line, first = lines[number], number
        if line.startswith("```"):
            number += 1
            while not lines[number].startswith("```"):
                number += 1
            text = "\n".join(lines[first + 1 : number])
            found.append(Block(page, first + 1, line[3:].strip() or "text", text, bool(NEEDS.search(last))))
        elif line.startswith("    ") and (not lines[number - 1] or lines[number - 1].startswith("    ")):
            while number + 1 < len(lines) and lines[number + 1].startswith("    "):
                number += 1
            text = "\n".join(each[4:] for each in lines[first : number + 1])
            found.append(Block(page, first + 1, "text", text, bool(NEEDS.search(last))))
        elif line.strip():
            paragraph = f"{paragraph} {line}"
            last = paragraph
        else:
            paragraph = ""
        number += 1
    return found


BLOCKS = [block for page in PAGES for block in blocks(page)]
COMMANDS = [
    (block, line.partition("  #")[0].strip())
    for block in BLOCKS
    for line in block.text.splitlines()
    if "src/imagenet.py" in line and "eval " not in line
]
EXECUTED = [(block, line) for block, line in COMMANDS if not block.marked and "source=demo" in line]


def named(value: object) -> str:
    return value if isinstance(value, str) else f"{value.page.name}:{value.line}" if isinstance(value, Block) else ""


def test_there_is_something_to_test() -> None:
    assert len(COMMANDS) > 15
    assert len(EXECUTED) > 5


@pytest.mark.parametrize("line", sorted({line for _, line in COMMANDS}))
def test_a_command_is_one_that_the_configuration_has(line: str) -> None:
    words = shlex.split(line.partition("src/imagenet.py")[2])
    overrides = [word for word in words if "=" in word]
    if "-m" in words:
        overrides = [re.sub(r"^(\w+=[^\[,]+),.*", r"\1", word) for word in overrides]
    config.register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("imagenet", overrides)
        config.refuse_unknown(cfg)
        assert isinstance(OmegaConf.to_object(cfg), config.Config)


@pytest.mark.parametrize(("block", "line"), COMMANDS, ids=named)
def test_a_command_that_is_not_executed_says_what_it_needs(block: Block, line: str) -> None:
    assert block.marked or (block, line) in EXECUTED, "write (needs the internet) or (needs your data) before it"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == PYTHON], ids=named)
def test_python_is_python(block: Block) -> None:
    compile(block.text, f"{block.page}:{block.line}", "exec")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("docs")


@pytest.fixture(scope="module")
def ran(place: Path) -> Path:
    """Results of a run where README and docs have them."""
    run(f"{RUN} {PLACES}", place)
    listed = (place / "dataset" / "imagenet" / "eval.txt").read_text(encoding="utf-8")
    (place / "other").mkdir()
    (place / "other" / "eval.txt").write_text(listed.replace("images/", "../dataset/imagenet/images/"))
    return place


def test_every_file_that_a_run_leaves_is_described(ran: Path) -> None:
    said = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    for folder in (ran / "dataset" / "imagenet", ran / "outputs" / "2026-01-31" / "12-00-00"):
        for path in folder.rglob("*"):
            inside = path.relative_to(folder).as_posix()
            name = re.sub(r"^ledger\.sqlite", "", path.name) or path.name  # `-wal` and `-shm` stand beside it
            whole = re.match(r"(images|spare|report/thumbnails|\.hydra)\b", inside)
            assert path.is_dir() or f"`{whole[1] if whole else name}" in said.replace("`report/index", "`index"), inside


def test_the_columns_of_the_tables_are_described_in_their_order(ran: Path) -> None:
    """classes.csv as README and formats.md show it, comparison.csv as it is written."""
    with (ran / "dataset" / "imagenet" / "classes.csv").open(encoding="utf-8", newline="") as file:
        columns = next(csv.reader(file))
    said = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    fixed, about = columns[:6], columns[-2:]
    shown = re.search(r"^ +(label,wnid,\S+)$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert shown
    assert shown[1].split(",")[:6] == fixed
    assert shown[1].split(",")[-2:] == about
    part = said.partition("### classes.csv")[2].partition("###")[0]
    assert re.findall(r"^\| `(\w+)`", part, re.MULTILINE) == [*fixed, *about]
    part = said.partition("### comparison.csv")[2].partition("\n## ")[0]
    described = [
        name for row in re.findall(r"^\| (`.*?) \|", part, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    ]
    assert described == sweep.COLUMNS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_says_works_in_its_order(page: Path, place: Path, request: pytest.FixtureRequest) -> None:
    """Commands of the demo, with a model of a few weights so that they take seconds, then the page's Python."""
    code = []
    if page.name in _ON_A_RUN:
        request.getfixturevalue("ran")
        code.append(GIVEN)
    for block in blocks(page):
        if block.marked:
            continue
        for _, line in [pair for pair in EXECUTED if pair[0] == block]:
            run(line, place)
        if block.language == PYTHON:
            code.append(block.text)
    if code:
        script = place / "page.py"
        script.write_text(stood_in("\n".join(code)), encoding="utf-8")
        ended = program.run(script=script, cwd=place, env={"PATH": os.environ["PATH"], "HOME": str(place)})
        assert ended.returncode == 0, ended.stderr


def stood_in(code: str) -> str:
    for real, small in STOOD_IN.items():
        code = code.replace(real, small)
    return code


@functools.cache
def run(line: str, place: Path) -> None:
    """Run a command, once for all pages that have it."""
    starter, _, arguments = line.partition("src/imagenet.py")
    assert starter == "python ", line
    given = [re.sub(r"^backbone=\S+", "backbone=timm", word) for word in shlex.split(arguments)]
    small = ["backbone.name=test_resnet,test_vit"] if "-m" in given else ["backbone.name=test_resnet"]
    if "backbone=timm" not in given:
        given.append("backbone=timm")
    if not any(word.startswith("classes.limit") for word in given):
        small.append("classes.limit=4")
    words = [*given, *small]
    if "launcher" in line:  # it pickles the program's own main
        command = [sys.executable, str(program.SCRIPT), *words]
        ended = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=200, check=False)
    else:
        ended = program.run(*words, cwd=place)
    assert ended.returncode == 0, ended.stderr


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert ended.returncode == 0, ended.stderr  # --quiet would hide the warnings from --strict
    assert "WARNING" not in ended.stderr
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']?https?://", page), "it asks another host"
