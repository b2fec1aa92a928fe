"""The layouts in which people keep ImageNet, and how to tell which one a path is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from imagenet_nk.classes.loading import clsloc_wnids
from imagenet_nk.config.sources import Part
from imagenet_nk.errors import SourceError
from imagenet_nk.formats import tar_headers
from imagenet_nk.formats.magic import HEAD, kind_of
from imagenet_nk.image_ids import WNID
from imagenet_nk.sources import devkit
from imagenet_nk.sources.local.folders import Folders, Listing, class_folders
from imagenet_nk.sources.local.tars import ClassTars, TarOfTars
from imagenet_nk.sources.local.validation import SOLUTION, FlatFolder, FlatTar, Truth, solution
from imagenet_nk.sources.official import DEVKIT, TRAIN, VAL

_UNPACKED_DEVKIT, _UNPACKED_TRUTH = "ILSVRC2012_devkit_t12", "data/ILSVRC2012_validation_ground_truth.txt"
KAGGLE = ("ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "CLS-LOC")
PLACES = {
    Part.train: (".", "train", "images", *(f"{place}/train" for place in KAGGLE)),
    Part.val: ("val", "validation", *(f"{place}/val" for place in KAGGLE), "."),
}


class Layout(Protocol):
    """One way to keep the images of classes."""

    what: str  # for the log: "class folders in /data/train"
    wnids: frozenset[str]  # of all classes that it has

    def files(self, wnid: str) -> Listing:
        """The images of a class, none of one that it does not have. Raises SourceError if it cannot be listed."""

    def read(self, place: str) -> tuple[bytes, Path | None]:
        """The bytes at a place of `files`, and the file that holds exactly these. Raises OSError."""


def recognise(root: Path, part: Part = Part.train) -> Layout:
    """The layout of what lies at `root`. Raises SourceError if it is none that we know."""
    if root.is_file():
        _require_tar(root)
    if layout := find(root, part):
        return layout
    if not root.is_dir():
        raise SourceError(f"source.root={root} is not there; name the folder, or the tar, of the images")
    if part is Part.val:
        raise SourceError(
            f"source.root={root} holds no validation images that we know: neither val/<wnid>/ folders nor val/ or "
            f"{VAL.name}, with {SOLUTION} or {DEVKIT.name} beside it to say what class each image is"
        )
    if validation := find(root, Part.val):
        raise SourceError(
            f"source.root={root} holds {validation.what}, no training images; source.part=val takes the former"
        )
    raise SourceError(
        f"source.root={root} holds no ImageNet that we know: neither <wnid>/ folders nor <wnid>.tar files there, in "
        f"train/ or in ILSVRC/Data/CLS-LOC/train/, nor {TRAIN.name}"
    )


def _require_tar(file: Path) -> None:
    """Raise SourceError for a file that is none, in the words of what it is."""
    try:
        with file.open("rb") as opened:
            head = opened.read(HEAD)
    except OSError as error:
        raise SourceError(f"source.root={file} cannot be read: {error.strerror}") from error
    if tar_headers.parse(head):
        return
    kind = kind_of(head) or ("text" if head else "empty")
    if kind == "gzip'ed":
        raise SourceError(f"source.root={file} is gzip'ed; gunzip it first")
    if kind not in ("a tar", "no text"):
        raise SourceError(f"source.root={file} is {kind}, no tar; name the folder, or the tar, of the images")


def find(root: Path, part: Part) -> Layout | None:
    """The layout of what lies at `root`; None if there is none that we know."""
    if root.is_file() and part is Part.train:
        return ClassTars([root]) if WNID.match(root.stem) else TarOfTars(root)
    folders = [folder for place in PLACES[part] if (folder := root / place).is_dir()]
    for folder in folders:
        if wnids := class_folders(folder):
            return Folders(folder, wnids)
    return _validation(root, folders) if part is Part.val else _train_tars(root, folders)


def _train_tars(root: Path, folders: Sequence[Path]) -> Layout | None:
    for folder in folders:
        if tars := sorted(file for file in folder.glob("n*.tar") if WNID.match(file.stem)):
            return ClassTars(tars)
    return TarOfTars(tar) if (tar := root / TRAIN.name).is_file() else None


def _validation(root: Path, folders: Sequence[Path]) -> Layout | None:
    """Images without class folders need a table; where there is none, they are none that we know."""
    if not (truth := _truth(root)):
        return None
    if flat := next((folder for folder in folders if _holds_validation(folder)), None):
        return FlatFolder(flat, truth)
    tar = root if root.is_file() else root / VAL.name
    return FlatTar(tar, truth) if tar.is_file() else None


def _holds_validation(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(entry.name.startswith("ILSVRC2012_val_") and not entry.name.endswith(".tar") for entry in entries)


def _truth(root: Path) -> Truth | None:
    """What class each validation image is, by the table that lies beside them, or up to Kaggle's top folder."""
    for folder in (root, *root.absolute().parents[:4]):
        if (table := folder / SOLUTION).is_file():
            return solution(table)
        kits = (folder / DEVKIT.name, folder / _UNPACKED_DEVKIT)
        if kit := next((kit for kit in kits if (kit / _UNPACKED_TRUTH).is_file() or kit.is_file()), None):
            clsloc = clsloc_wnids()
            return devkit.val_images(kit, clsloc)
    return None
