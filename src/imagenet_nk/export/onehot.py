"""`export=onehot`: lists with a one-hot vector a line, `path 0 0 1 ...`, as papers on image retrieval use them."""

from __future__ import annotations

from pathlib import Path

from imagenet_nk.errors import DatasetError
from imagenet_nk.export.contract import SPLIT_FOLDERS, ExportData
from imagenet_nk.lists.list_file import can_hold
from imagenet_nk.storage import files


class OneHot:
    """val.txt and train.txt with absolute paths, and classes.txt: the WNID of each column."""

    def write(self, data: ExportData, folder: Path) -> None:
        """Write into an empty folder. Raises DatasetError for a path with a blank, which no reader takes."""
        index = data.class_index()
        for split, images in data.splits().items():
            with (folder / f"{SPLIT_FOLDERS[split]}.txt").open("w", encoding="utf-8", newline="") as file:
                for image in images:
                    path = files.full_name(image.path)
                    if " " in path or not can_hold(path):
                        raise DatasetError(
                            f"export=onehot separates by blanks, and there is one in {path!r}; move the data set to a "
                            "folder without blanks: dataset.dir=FOLDER"
                        )
                    row = ["0"] * len(data.classes)
                    row[index[image.label]] = "1"
                    file.write(f"{path} {' '.join(row)}\n")
        (folder / "classes.txt").write_text("".join(f"{one.wnid}\n" for one in data.classes), encoding="utf-8")
