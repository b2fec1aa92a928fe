from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from imagenet_nk.config import Part
from imagenet_nk.errors import SourceError
from imagenet_nk.sources.contract import FetchedImage
from imagenet_nk.sources.local.source import Full
from sources.contract import SourceContract, drive
from sources.local.helpers import GOLDFISH, SHARK, TENCH, folders, opened
from sources.small_tars import tar_bytes, train_tar


@pytest.mark.parametrize(
    "place", ["", "train/", "images/", "ILSVRC/Data/CLS-LOC/train/", "Data/CLS-LOC/train/", "CLS-LOC/train/"]
)
def test_class_folders_are_found_where_people_keep_them(tmp_path: Path, place: str) -> None:
    source = opened(folders(tmp_path, f"{place}{TENCH}/{TENCH}_1.JPEG", f"{place}{GOLDFISH}/{GOLDFISH}_7.JPEG"))
    [candidate] = source.candidates(GOLDFISH)
    found = drive(source, candidate)
    assert isinstance(found, FetchedImage)
    assert found.image_id == candidate.key == f"{GOLDFISH}_7"
    assert found.data == f"{place}{GOLDFISH}/{GOLDFISH}_7.JPEG".encode()
    assert found.path is not None
    assert found.path.read_bytes() == found.data


def test_detected_layout_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    opened(folders(tmp_path, f"train/{TENCH}/a.jpg"))
    partial, *rest = [record.getMessage() for record in caplog.records]
    assert partial.startswith(
        f"source.root={tmp_path} has 1 of the 2 wanted classes; the others have no images, unless"
    )
    assert rest == [f"{tmp_path}: class folders in {tmp_path}/train, with 1 of the 2 wanted classes"]


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ([], "has no known layout of ImageNet"),
        (["cats/a.jpg"], "has no known layout of ImageNet"),
        ([f"{SHARK}/a.jpg"], f"has none of the 2 wanted classes; it is class folders in .* such as {SHARK}"),
    ],
)
def test_root_without_the_classes_is_one_line(tmp_path: Path, files: list[str], wanted: str) -> None:
    with pytest.raises(SourceError, match=wanted) as error:
        opened(folders(tmp_path, *files))
    assert "\n" not in str(error.value)


def test_missing_root_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist; name the folder, or the tar"):
        opened(tmp_path / "missing")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"n01440764_1.JPEG\n", "is text, no tar, tgz or zip; name the folder, or the tar, of the images"),
        (b"\xff\xd8\xff and so on", "is a JPEG picture, no tar"),
        (b"", "is empty, no tar"),
    ],
)
@pytest.mark.parametrize("part", Part)
def test_root_that_is_another_kind_of_file_is_named_as_such(tmp_path: Path, data: bytes, said: str, part: Part) -> None:
    (tmp_path / "file.txt").write_bytes(data)
    with pytest.raises(SourceError, match=rf"source\.root={tmp_path}/file\.txt {said}") as error:
        opened(tmp_path / "file.txt", part=part)
    assert "\n" not in str(error.value)


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
