"""`export=fiftyone`: FiftyOne's FiftyOneImageClassificationDataset, data/ and labels.json.

Format: https://docs.voxel51.com/user_guide/import_datasets.html#fiftyoneimageclassificationdataset
"""

from __future__ import annotations

import json
from pathlib import Path

from imagenet_nk.export.contract import SPLIT_FOLDERS, ExportData
from imagenet_nk.export.imagefolder import place


class FiftyOne:
    """A folder a split: data/<wnid>_<number>.<ext>, and labels.json with classes and the class index of each file."""

    def __init__(self, copy: bool = False) -> None:
        self.copy = copy

    def write(self, data: ExportData, folder: Path) -> None:
        """Write into an empty folder."""
        index = data.class_index()
        classes = [f"{one.wnid} {one.name}" for one in data.classes]
        for split, images in data.splits().items():
            part = folder / SPLIT_FOLDERS[split]
            (part / "data").mkdir(parents=True)
            labels = {}
            for number, image in enumerate(images):
                stem = f"{image.wnid}_{number:08d}"
                place(image.path, part / "data" / f"{stem}{image.path.suffix}", copy=self.copy)
                labels[stem] = index[image.label]
            text = json.dumps({"classes": classes, "labels": labels}, ensure_ascii=False)
            (part / "labels.json").write_text(text, encoding="utf-8")
