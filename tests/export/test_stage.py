"""The stage export: all or nothing, and one line for what cannot be exported."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.errors import HydraException

from export.conftest import write_classes
from imagenet_nk.config import Config
from imagenet_nk.errors import ConfigError, DatasetError
from imagenet_nk.export.contract import ExportData
from imagenet_nk.export.imagefolder import ImageFolder
from imagenet_nk.export.stage import export, load_export_data


class FullDisk:
    """An exporter whose disk is full half-way."""

    def write(self, data: ExportData, folder: Path) -> None:
        (folder / "half").write_text("half")
        raise OSError(28, "No space left on device")


def test_images_and_classes_are_those_of_the_manifest(dataset: Path) -> None:
    data = load_export_data(dataset, require_complete=True)
    assert [(one.label, one.wnid) for one in data.classes] == [(4, "n00000001"), (7, "n00000002"), (9, "n00000003")]
    assert data.class_index() == {4: 0, 7: 1, 9: 2}
    assert {split: len(images) for split, images in data.splits().items()} == {"eval": 3, "train": 6}


def test_a_folder_with_other_things_is_left_alone(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "thesis.tex").write_text("mine")
    with pytest.raises(DatasetError, match=r"is not empty; type export\.dir=ANOTHER"):
        export(ImageFolder(), dataset, tmp_path / "target", require_complete=True)
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["thesis.tex"]


def test_an_empty_folder_is_filled(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    export(ImageFolder(), dataset, tmp_path / "target", require_complete=True)
    assert len([path for path in (tmp_path / "target").rglob("*") if path.is_file()]) == 9


def test_a_failure_leaves_nothing_behind(dataset: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DatasetError, match="No space left"):
        export(FullDisk(), dataset, tmp_path / "target", require_complete=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_short_classes_are_named_and_can_be_accepted(dataset: Path, tmp_path: Path) -> None:
    write_classes(dataset, kept=2)
    with pytest.raises(
        DatasetError, match=r"1 classes are short of images \(first: n00000001\).*require_complete=false"
    ):
        export(ImageFolder(), dataset, tmp_path / "target", require_complete=True)
    export(ImageFolder(), dataset, tmp_path / "target", require_complete=False)


@pytest.mark.parametrize("fault", ["gone", "cut"])
def test_an_image_that_is_not_as_the_manifest_says_is_named(dataset: Path, tmp_path: Path, fault: str) -> None:
    image = dataset / "images" / "n00000002" / "n00000002_0.jpg"
    if fault == "gone":
        image.unlink()
    else:
        image.write_bytes(image.read_bytes()[:-1])
    with pytest.raises(DatasetError, match=r"1 images of the manifest.*n00000002_0\.jpg"):
        export(ImageFolder(), dataset, tmp_path / "target", require_complete=True)
    assert not (tmp_path / "target").exists()


def test_a_folder_without_a_manifest_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds no manifest\.parquet: run the stage collect first"):
        export(ImageFolder(), tmp_path, tmp_path / "target", require_complete=True)


def test_the_stage_without_a_form_is_refused() -> None:
    with pytest.raises((ConfigError, HydraException), match="type export=imagefolder"):
        Config(stages=["export"])
