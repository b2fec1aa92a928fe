"""The layouts in which people keep ImageNet, and how to tell which one a path is."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from imagenet_nk.config import WNID
from imagenet_nk.errors import SourceError
from imagenet_nk.sources.folders import Folders, class_folders
from imagenet_nk.sources.local_tars import ClassTars, TarOfTars

TRAIN_TAR = "ILSVRC2012_img_train.tar"
PLACES = (".", "train", "ILSVRC/Data/CLS-LOC/train", "Data/CLS-LOC/train", "CLS-LOC/train")  # torchvision's, Kaggle's


class Layout(Protocol):
    """One way to keep the images of classes."""

    what: str  # for the log: "class folders in /data/train"
    wnids: frozenset[str]  # of all classes that it has

    def files(self, wnid: str) -> dict[str, str]:
        """File name -> place of each image of a class, sorted by name. Raises SourceError if it cannot be listed."""

    def read(self, place: str) -> tuple[bytes, Path | None]:
        """The bytes at a place of `files`, and the file that holds exactly these. Raises OSError."""


def recognise(root: Path) -> Layout:
    """The layout of what lies at `root`. Raises SourceError if it is none that we know."""
    if root.is_file():
        return ClassTars([root]) if WNID.match(root.stem) else TarOfTars(root)
    if not root.is_dir():
        raise SourceError(f"source.root={root} is not there; name the folder, or the tar, of the images")
    folders = [folder for place in PLACES if (folder := root / place).is_dir()]
    for folder in folders:
        if wnids := class_folders(folder):
            return Folders(folder, wnids)
    for folder in folders:
        if tars := sorted(file for file in folder.glob("n*.tar") if WNID.match(file.stem)):
            return ClassTars(tars)
    if (tar := root / TRAIN_TAR).is_file():
        return TarOfTars(tar)
    raise SourceError(
        f"source.root={root} holds no ImageNet that we know: neither <wnid>/ folders nor <wnid>.tar files there, in "
        f"train/ or in ILSVRC/Data/CLS-LOC/train/, nor {TRAIN_TAR}"
    )
