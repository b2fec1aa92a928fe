"""Class tables: which classes there are, in sorted order, with their words. Read from timm's data files.

The files are those of `timm.data.ImageNetInfo`, in the folder timm/data/_info: `*_synsets.txt` holds one WNID a line,
`imagenet_synset_to_lemma.txt` and `imagenet_synset_to_definition.txt` hold `wnid<TAB>text`, all in UTF-8. They are
found without importing timm, which would import torch.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from imagenet_nk.errors import LabelError

TABLES = {
    "imagenet-1k": "imagenet_synsets.txt",
    "imagenet-12k": "imagenet12k_synsets.txt",
    "imagenet-21k": "imagenet21k_goog_synsets.txt",  # timm's imagenet-21k: 21,843 classes, Google's
    "imagenet-21k-miil": "imagenet21k_miil_synsets.txt",
    "imagenet-22k": "imagenet22k_synsets.txt",  # 21,841 classes of fall11
    "imagenet-22k-ms": "imagenet22k_ms_synsets.txt",  # fall11 and the missing class of the 1000
}
# Parts of imagenet-1k. Models for them keep the 1000 outputs, so their labels are those of the whole.
SUBSETS = {
    "imagenet-a": "imagenet_a_synsets.txt",
    "imagenet-r": "imagenet_r_synsets.txt",
    "mini-imagenet": "mini_imagenet_synsets.txt",
}


@dataclass(frozen=True)
class ClassTable:
    """A set of classes and their words. A label of `labels=sorted` is an index in `wnids`."""

    name: str
    wnids: tuple[str, ...]  # sorted, each once
    words: Mapping[str, str] = field(default_factory=dict, repr=False)  # "tench, Tinca tinca" of each WNID
    glosses: Mapping[str, str] = field(default_factory=dict, repr=False)


@cache
def read_table(name: str) -> ClassTable:
    """One of TABLES, with words and glosses. Raises LabelError for another name, or when timm's files are not there."""
    if name not in TABLES:
        raise LabelError(f"there is no class table {name!r}; there are: {', '.join((*TABLES, *SUBSETS))}")
    wnids = tuple(sorted(_lines(TABLES[name])))
    if len(set(wnids)) < len(wnids):
        raise LabelError(f"{_folder() / TABLES[name]} names a class twice; reinstall timm")
    wanted = frozenset(wnids)
    return ClassTable(
        name,
        wnids,
        words=_texts("imagenet_synset_to_lemma.txt", wanted),
        glosses=_texts("imagenet_synset_to_definition.txt", wanted),
    )


def read_set(name: str) -> tuple[ClassTable, tuple[str, ...]]:
    """The table whose index gives the labels, and the classes chosen from it: all, or the part of that name."""
    if name not in SUBSETS:
        table = read_table(name)
        return table, table.wnids
    return read_table("imagenet-1k"), tuple(_lines(SUBSETS[name]))


def first_word(words: str) -> str:
    """'tench' of 'tench, Tinca tinca'."""
    return words.split(",", 1)[0].strip()


def _texts(file: str, wanted: Container[str]) -> dict[str, str]:
    pairs = (line.partition("\t") for line in _lines(file))
    return {wnid: text.strip() for wnid, _, text in pairs if wnid in wanted}


def _lines(file: str) -> list[str]:
    path = _folder() / file
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LabelError(f"timm's class table {path} cannot be read ({error}): pip install --upgrade timm") from error


def _folder() -> Path:
    spec = importlib.util.find_spec("timm")  # of a top-level package: runs none of its code
    if spec is None or not spec.submodule_search_locations:
        raise LabelError("the class tables are those of timm, which is not installed: pip install timm")
    return Path(spec.submodule_search_locations[0], "data", "_info")
