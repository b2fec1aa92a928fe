"""Preprocessed arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
from PIL import Image

from imagenet_nk.errors import ConfigError, DatasetError
from imagenet_nk.export.calibration import Calibration
from imagenet_nk.export.stage import export


def test_arrays_are_those_of_timms_transform(dataset: Path, tmp_path: Path) -> None:
    export(Calibration("resnet18", images_per_class=2), dataset, tmp_path / "target", require_complete=True)
    arrays = np.load(tmp_path / "target" / "calibration.npz")
    assert arrays["images"].shape == (6, 3, 224, 224)
    assert sorted(arrays["labels"].tolist()) == [4, 4, 7, 7, 9, 9]
    model = timm.create_model("resnet18", pretrained=False)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    for array, image_id in zip(arrays["images"], arrays["image_ids"].tolist(), strict=True):
        (path,) = (dataset / "images").rglob(f"{image_id}.*")
        np.testing.assert_array_equal(array, transform(Image.open(path).convert("RGB")).numpy())


def test_unknown_model_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"timm has no model 'resnet5O': type export\.model=NAME"):
        Calibration("resnet5O")


def test_arrays_too_large_for_memory_are_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"smaller export\.images_per_class"):
        export(Calibration("resnet18", max_bytes=1000), dataset, tmp_path / "target", require_complete=True)
