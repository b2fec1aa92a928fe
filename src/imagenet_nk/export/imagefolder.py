"""`export=imagefolder`: val/<wnid>/<image>, as torchvision.datasets.ImageFolder and most training code read it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from imagenet_nk.export.contract import SPLIT_FOLDERS, ExportData
from imagenet_nk.storage import files


class ImageFolder:
    """Folders of classes by WNID, whose sorted order is that of timm's labels."""

    def __init__(self, copy: bool = False) -> None:
        """copy: whether files are copied; else they are hard links where the file system has them."""
        self.copy = copy

    def write(self, data: ExportData, folder: Path) -> None:
        """Write into an empty folder."""
        for image in data.images:
            target = folder / SPLIT_FOLDERS[image.split] / image.wnid / image.path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            place(image.path, target, copy=self.copy)


def place(source: Path, target: Path, *, copy: bool) -> None:
    """Put a file in another place: as a hard link, or as a copy where that is wanted or no link can be made."""
    if files.is_remote(source):
        target.write_bytes(source.read_bytes())
        return
    resolved = source.resolve()  # of a symbolic link, what it points to
    if not copy:
        try:
            os.link(resolved, target)
        except OSError:  # another file system, or one without links
            pass
        else:
            return
    shutil.copyfile(resolved, target)
