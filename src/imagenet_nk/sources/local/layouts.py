"""The layouts in which people keep ImageNet, and which one a path has."""

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
from imagenet_nk.sources.local.folders import ClassFolders, Listing, list_class_folders
from imagenet_nk.sources.local.tars import ClassTars, TarOfTars
from imagenet_nk.sources.local.validation import SOLUTION, FlatFolder, FlatTar, GroundTruth, read_solution
from imagenet_nk.sources.official import DEVKIT, TRAIN, VAL

_UNPACKED_DEVKIT, _UNPACKED_TRUTH = "ILSVRC2012_devkit_t12", "data/ILSVRC2012_validation_ground_truth.txt"
_KAGGLE = ("ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "CLS-LOC")
_SUBFOLDERS = {
    Part.train: (".", "train", "images", *(f"{folder}/train" for folder in _KAGGLE)),
    Part.val: ("val", "validation", *(f"{folder}/val" for folder in _KAGGLE), "."),
}


class Layout(Protocol):
    """One way to keep the images of classes."""

    description: str  # for the log: "class folders in /data/train"
    wnids: frozenset[str]  # of all classes

    def list_images(self, wnid: str) -> Listing:
        """The images of a class, none for an unknown class. Raises SourceError if it cannot be listed."""

    def read(self, address: str) -> tuple[bytes, Path | None]:
        """The bytes at an address of `list_images`, and the file that holds exactly these. Raises OSError."""


def detect(root: Path, part: Part = Part.train) -> Layout:
    """The layout of `root`. Raises SourceError if it has none of those that we know."""
    if root.is_file():
        _reject_other_file(root)
    if layout := find_layout(root, part):
        return layout
    if not root.is_dir():
        raise SourceError(f"source.root={root} does not exist; name the folder, or the tar, of the images")
    if part is Part.val:
        raise SourceError(
            f"source.root={root} has no known layout of validation images: neither val/<wnid>/ folders nor val/ or "
            f"{VAL.name}, with {SOLUTION} or {DEVKIT.name} beside it for the class of each image"
        )
    if validation := find_layout(root, Part.val):
        raise SourceError(
            f"source.root={root} holds {validation.description}, no training images; type source.part=val for these"
        )
    raise SourceError(
        f"source.root={root} has no known layout of ImageNet: neither <wnid>/ folders nor <wnid>.tar files there, in "
        f"train/ or in ILSVRC/Data/CLS-LOC/train/, nor {TRAIN.name}"
    )


def _reject_other_file(file: Path) -> None:
    """Raise SourceError for a file that is no tar, with what it is."""
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


def find_layout(root: Path, part: Part) -> Layout | None:
    """The layout of `root`; None if it has none of those that we know."""
    if root.is_file() and part is Part.train:
        return ClassTars([root]) if WNID.match(root.stem) else TarOfTars(root)
    folders = [folder for name in _SUBFOLDERS[part] if (folder := root / name).is_dir()]
    for folder in folders:
        if wnids := list_class_folders(folder):
            return ClassFolders(folder, wnids)
    return _find_validation(root, folders) if part is Part.val else _find_train_tars(root, folders)


def _find_train_tars(root: Path, folders: Sequence[Path]) -> Layout | None:
    for folder in folders:
        if tars := sorted(file for file in folder.glob("n*.tar") if WNID.match(file.stem)):
            return ClassTars(tars)
    return TarOfTars(tar) if (tar := root / TRAIN.name).is_file() else None


def _find_validation(root: Path, folders: Sequence[Path]) -> Layout | None:
    """Images without class folders are of use only with a table of their classes."""
    if not (truth := _find_truth(root)):
        return None
    if flat := next((folder for folder in folders if _holds_validation(folder)), None):
        return FlatFolder(flat, truth)
    tar = root if root.is_file() else root / VAL.name
    return FlatTar(tar, truth) if tar.is_file() else None


def _holds_validation(folder: Path) -> bool:
    with os.scandir(folder) as items:
        return any(item.name.startswith("ILSVRC2012_val_") and not item.name.endswith(".tar") for item in items)


def _find_truth(root: Path) -> GroundTruth | None:
    """The class of each validation image, from a table beside them or in a folder above, up to Kaggle's top folder."""
    for folder in (root, *root.absolute().parents[:4]):
        if (table := folder / SOLUTION).is_file():
            return read_solution(table)
        kits = (folder / DEVKIT.name, folder / _UNPACKED_DEVKIT)
        if kit := next((kit for kit in kits if (kit / _UNPACKED_TRUTH).is_file() or kit.is_file()), None):
            return devkit.val_images(kit, clsloc_wnids())
    return None
