"""The validation images as they are published: 50,000 files side by side, and a table of their classes."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from imagenet_nk.errors import SourceError
from imagenet_nk.formats.magic import IMAGE_SUFFIXES
from imagenet_nk.image_ids import WNID
from imagenet_nk.sources.local.folders import ImageFiles, Listing
from imagenet_nk.sources.local.tars import Tars
from imagenet_nk.storage.locators import path_to_text
from imagenet_nk.wording import one_line

SOLUTION = "LOC_val_solution.csv"  # Kaggle's: ImageId,PredictionString = stem,"wnid x y x y ..."

GroundTruth = dict[str, list[str]]  # WNID -> file stems


class FlatFolder(ImageFiles):
    """`ILSVRC2012_val_00000001.JPEG` and so on in one folder."""

    def __init__(self, folder: Path, truth: GroundTruth) -> None:
        self.description = f"validation images side by side in {folder}"
        self.wnids = frozenset(truth)
        self.folder = folder
        self._truth = truth
        try:
            names = sorted(name for name in os.listdir(folder) if name.lower().endswith(IMAGE_SUFFIXES))  # noqa: PTH208
        except OSError as error:
            raise SourceError(f"{folder} cannot be listed: {error.strerror}") from error
        self._files = {name.rpartition(".")[0]: (name, path_to_text(f"{folder.absolute()}/{name}")) for name in names}

    def list_images(self, wnid: str) -> Listing:
        return Listing(dict(sorted(self._files[stem] for stem in self._truth.get(wnid, ()) if stem in self._files)))


class FlatTar(Tars):
    """The same files in ILSVRC2012_img_val.tar."""

    def __init__(self, tar: Path, truth: GroundTruth) -> None:
        self.description = f"validation images in {tar.name}, read in place"
        self.wnids = frozenset(truth)
        self._truth = truth
        files, self._problem = self._list_tar(tar)
        self._by_stem = {name.rpartition(".")[0]: (name, address) for name, address in files.items()}

    def list_images(self, wnid: str) -> Listing:
        stems = self._truth.get(wnid, ())
        files = dict(sorted(self._by_stem[stem] for stem in stems if stem in self._by_stem))
        return Listing(files, self._problem if len(files) < len(stems) else "")


def read_solution(path: Path) -> GroundTruth:
    """Kaggle's table. Raises SourceError with the number of the first line without a class."""
    truth: GroundTruth = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            for row in reader:
                stem, wnid = row.get("ImageId") or "", (row.get("PredictionString") or "").partition(" ")[0]
                if not stem or not WNID.match(wnid):
                    raise SourceError(f"{path}, line {reader.line_num}: no image and its class; expected is {SOLUTION}")
                truth.setdefault(wnid, []).append(stem)
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read: {one_line(error)}") from error
    return truth
