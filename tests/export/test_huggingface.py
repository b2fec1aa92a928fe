"""Exports that the datasets library reads."""

from __future__ import annotations

from pathlib import Path

import datasets

from export.conftest import LABELS, wnid_of
from imagenet_nk.export.huggingface import HuggingFace
from imagenet_nk.export.stage import export


def test_load_dataset_reads_each_image_with_its_class(dataset: Path, tmp_path: Path) -> None:
    export(HuggingFace(), dataset, tmp_path / "target", require_complete=True)
    loaded = datasets.load_dataset(str(tmp_path / "target"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(part) for split, part in loaded.items()} == {"validation": 3, "train": 6}
    names = loaded["train"].features["label"].names
    assert names == ["n00000001 crane", "n00000002 crane", "n00000003 tench"]
    for part in loaded.values():
        for row in part:
            assert wnid_of(row["image"]) == row["wnid"] == names[row["label"]].split()[0]
            assert LABELS[row["wnid"]] == row["original_label"]


def test_progress_bars_of_the_caller_are_left_as_they_were(dataset: Path, tmp_path: Path) -> None:
    datasets.enable_progress_bars()
    export(HuggingFace(), dataset, tmp_path / "target", require_complete=True)
    assert not datasets.are_progress_bars_disabled()
