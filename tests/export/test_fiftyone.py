"""FiftyOne's import format, read as its documentation says; the library itself brings a database server."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from export.conftest import wnid_of
from imagenet_nk.export.fiftyone import FiftyOne
from imagenet_nk.export.stage import export


def test_labels_json_gives_each_file_its_class(dataset: Path, tmp_path: Path) -> None:
    export(FiftyOne(), dataset, tmp_path / "target", require_complete=True)
    for split, images in (("val", 3), ("train", 6)):
        labels = json.loads((tmp_path / "target" / split / "labels.json").read_text())
        files = sorted((tmp_path / "target" / split / "data").iterdir())
        assert sorted(labels["labels"]) == [file.stem for file in files]
        assert len(files) == images
        for file in files:
            assert labels["classes"][labels["labels"][file.stem]].split()[0] == wnid_of(Image.open(file))
