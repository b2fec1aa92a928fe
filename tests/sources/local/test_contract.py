"""The conformance suite for every layout of `source=full`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from imagenet_nk.sources.local.source import Full
from sources.contract import SourceContract
from sources.local.test_source import GOLDFISH, TENCH
from sources.small_tars import tar_bytes, train_tar

CLASSES = {wnid: {f"{wnid}_{n}.JPEG": f"{wnid} {n}".encode() for n in range(12)} for wnid in (TENCH, GOLDFISH)}


def class_folders(root: Path) -> None:
    for wnid, files in CLASSES.items():
        (root / "train" / wnid).mkdir(parents=True)
        for name, data in files.items():
            (root / "train" / wnid / name).write_bytes(data)


def class_tars(root: Path) -> None:
    for wnid, files in CLASSES.items():
        (root / f"{wnid}.tar").write_bytes(tar_bytes(files))


def tar_of_tars(root: Path) -> None:
    train_tar(root / "ILSVRC2012_img_train.tar", CLASSES)


class TestFull(SourceContract):
    @pytest.fixture(params=[class_folders, class_tars, tar_of_tars])
    def make(self, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Full]:
        root = tmp_path / "imagenet"
        root.mkdir()
        request.param(root)
        return lambda: Full(str(root))

    @pytest.fixture
    def wnids(self) -> list[str]:
        return [TENCH, GOLDFISH]
