"""timm's tables, read as timm reads them, and without timm."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from imagenet_nk.classes import table
from imagenet_nk.errors import LabelError


@pytest.fixture(autouse=True)
def _fresh() -> None:
    table.read_table.cache_clear()


@pytest.mark.parametrize("name", ["imagenet-1k", "imagenet-12k", "imagenet-21k", "imagenet-21k-miil", "imagenet-22k"])
def test_same_classes_and_words_as_timm(name: str) -> None:
    from timm.data import ImageNetInfo

    info, ours = ImageNetInfo(name), table.read_table(name)
    assert list(ours.wnids) == info.label_names()
    assert [ours.words[wnid] for wnid in ours.wnids] == info.label_descriptions()


def test_importing_and_loading_imports_neither_torch_nor_timm() -> None:
    program = (
        "import sys; from imagenet_nk.classes.loading import load; "
        "from imagenet_nk.config import ClassesConfig, LabelsConfig; "
        "load(ClassesConfig('imagenet-1k'), LabelsConfig('sorted')); print({'torch', 'timm'} & set(sys.modules))"
    )
    path = str(Path(table.__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": path}, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_missing_timm_is_a_label_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(LabelError, match="pip install timm"):
        table.read_table("imagenet-1k")


def test_timm_without_class_tables_is_a_label_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spec = ModuleSpec("timm", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    with pytest.raises(LabelError, match=r"cannot be read .*pip install --upgrade timm"):
        table.read_table("imagenet-1k")
