"""The class of each image of a folder tree or an archive, by the names on its path or by a table."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from imagenet_nk.config.sources import NumberOrder, Part
from imagenet_nk.errors import SourceError
from imagenet_nk.formats.magic import IMAGE_SUFFIXES
from imagenet_nk.image_ids import WNID
from imagenet_nk.sources.local.class_names import wnid_of_file, wnids_of
from imagenet_nk.sources.local.folders import Listing
from imagenet_nk.sources.local.tables import GroundTruth, stem_of
from imagenet_nk.wording import first_few, plural

log = logging.getLogger(__name__)

Files = Mapping[str, str]  # path within the root, with `/`, to address
ByClass = dict[str, dict[str, str]]  # WNID to the files of the class

_PART = re.compile(r"(?:ILSVRC2012_(?:img_)?)?(train|val(?:id(?:ation)?)?|test)(?:[^a-z].*)?\Z", re.IGNORECASE)


class GroupedImages:
    """Images whose classes are known beforehand."""

    folders: tuple[()] = ()

    def __init__(
        self, description: str, by_class: ByClass, truth: GroundTruth | None = None, problem: str = ""
    ) -> None:
        """`truth`: how many each class should have; `problem`: why there may be more than were found, one line."""
        self.description, self.wnids = description, frozenset(truth or by_class)
        self._by_class, self._truth, self._problem = by_class, truth, problem

    def list_images(self, wnid: str) -> Listing:
        files = self._by_class.get(wnid, {})
        complete = self._truth is not None and len(files) >= len(self._truth.get(wnid, ()))
        return Listing(dict(sorted(files.items())), "" if complete else self._problem)


def part_of(name: str) -> Part | None:
    """The part that a folder's name says it holds, such as train.X1 or val; test counts as neither."""
    found = _PART.match(name)
    if not found:
        return None
    return {"t": Part.train, "v": Part.val}[found[1][0].lower()] if found[1].lower() != "test" else None


def is_other_part(name: str, part: Part) -> bool:
    """Whether a folder's name says that it holds another part."""
    return bool(_PART.match(name)) and part_of(name) is not part


def images_of_part(files: Files, part: Part) -> dict[str, str]:
    """The images that no folder's name gives to another part; of validation images those in val/, if there are any."""
    images = {
        path: address
        for path, address in files.items()
        if path.lower().endswith(IMAGE_SUFFIXES) and not any(is_other_part(d, part) for d in path.split("/")[:-1])
    }
    named = {p: address for p, address in images.items() if any(part_of(d) is part for d in p.split("/")[:-1])}
    return named or images


def group_by_truth(files: Files, truth: GroundTruth, where: str) -> ByClass:
    """By a table of file stems; a warning about missing ones. Raises SourceError for a stem of two files."""
    by_stem: dict[str, str] = {}
    for path in sorted(files):
        if (stem := stem_of(path)) in by_stem:
            raise SourceError(
                f"{where}: {by_stem[stem]} and {path} have one name, and the table of classes names no folder"
            )
        by_stem[stem] = path
    found = {w: {by_stem[s]: files[by_stem[s]] for s in stems if s in by_stem} for w, stems in truth.items()}
    missing = [stem for stems in truth.values() for stem in stems if stem not in by_stem]
    if missing and len(missing) < sum(map(len, truth.values())):
        log.warning(
            "%s: %s of its table are not there: %s", where, plural(len(missing), "image"), first_few(missing, 3)
        )
    return {wnid: named for wnid, named in found.items() if named}


def group_by_path(files: Files, order: NumberOrder | None, where: str) -> ByClass:
    """By folders or file names that are WNIDs; else by folders that are numbers or words. Empty if none is.

    Raises SourceError if a class lies in several places, which may be several data sets.
    """
    by_wnid = {path: place for path in files if (place := _wnid_on(path))}
    classes = by_wnid or _by_folder(files, order, where)
    by_class: ByClass = defaultdict(dict)
    for path, (_, wnid) in classes.items():
        by_class[wnid][_official_name(path, wnid)] = files[path]
    require_one_place(classes.values(), where)
    if classes and (left := [path for path in files if path not in classes]):
        log.warning("%s: %s in no folder of a class: %s", where, plural(len(left), "image"), first_few(left, 3))
    return dict(by_class)


def require_one_place(places: Iterable[tuple[str, str]], where: str) -> None:
    """Raise SourceError if the folders of a class, given as (folder around it, WNID), lie in several folders."""
    first: dict[str, str] = {}
    for folder, wnid in places:
        if first.setdefault(wnid, folder) != folder:
            one, other = (f"{where}/{name}".rstrip("/") for name in sorted((first[wnid], folder)))
            raise SourceError(
                f"{where} has {wnid} in several places, {one} and {other}; name one with source.root, or those that "
                f"belong together: source.root=[{one},{other}]"
            )


def _wnid_on(path: str) -> tuple[str, str] | None:
    """(folder around that of the class, WNID) of a path."""
    *folders, name = path.split("/")
    for depth in range(len(folders) - 1, -1, -1):
        if WNID.match(folders[depth]):
            return "/".join(folders[:depth]), folders[depth]
    wnid = wnid_of_file(name)
    return ("/".join(folders), wnid) if wnid else None


def _by_folder(files: Files, order: NumberOrder | None, where: str) -> dict[str, tuple[str, str]]:
    """The same of each file by its folder, or by one up to two levels above it (`<class>/images/x.jpg`)."""
    for level in (2, 3, 4):
        parts = {path: path.split("/") for path in files}
        names = {path: split[-level] for path, split in parts.items() if len(split) >= level}
        if names and (wnids := wnids_of(set(names.values()), order, where)):
            return {
                path: ("/".join(parts[path][:-level]), wnids[name]) for path, name in names.items() if name in wnids
            }
    return {}


def _official_name(path: str, wnid: str) -> str:
    """n01440764_10026.JPEG for the hub's n01440764_10026_n01440764.JPEG: all layouts give the same image ids."""
    pure = PurePosixPath(path)
    return (
        str(pure.with_name(pure.stem.removesuffix(f"_{wnid}") + pure.suffix))
        if pure.stem.endswith(f"_{wnid}")
        else path
    )
