"""Lists with one-hot vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export.conftest import wnid_of
from imagenet_nk.errors import DatasetError
from imagenet_nk.export.onehot import OneHot
from imagenet_nk.export.stage import export


def test_each_line_has_a_one_in_the_column_of_its_class(dataset: Path, tmp_path: Path) -> None:
    folder = dataset.rename(tmp_path / "dataset")
    export(OneHot(), folder, tmp_path / "target", require_complete=True)
    columns = (tmp_path / "target" / "classes.txt").read_text().split()
    for name, images in (("val.txt", 3), ("train.txt", 6)):
        lines = (tmp_path / "target" / name).read_text().splitlines()
        assert len(lines) == images
        for line in lines:
            path, *vector = line.split(" ")
            assert sorted(vector) == ["0", "0", "1"]
            assert columns[int(np.argmax([int(value) for value in vector]))] == wnid_of(Image.open(path))


def test_a_path_with_a_blank_is_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="separates by blanks"):
        export(OneHot(), dataset, tmp_path / "target", require_complete=True)
    assert not (tmp_path / "target").exists()
