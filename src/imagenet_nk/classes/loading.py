"""From the settings of `classes=` and `labels=` to the LabelMap of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

from imagenet_nk.classes import label_files
from imagenet_nk.classes.hierarchy import read_subtree
from imagenet_nk.classes.label_map import LabelMap
from imagenet_nk.classes.table import ClassTable, read_set
from imagenet_nk.config.choices import ClassesConfig, LabelsConfig, SubtreeConfig
from imagenet_nk.errors import LabelError, SourceError
from imagenet_nk.image_ids import WNID
from imagenet_nk.wording import did_you_mean


def load(classes: ClassesConfig, labels: LabelsConfig, fetch: Callable[[str], Path] | None = None) -> LabelMap:
    """The classes that the settings choose, numbered by the order that they name.

    `fetch` turns an http(s) address into a local file; without it such a `classes.hierarchy` is refused. Raises
    LabelError.
    """
    table, chosen = _class_set(classes, fetch)
    if classes.wnids is not None:
        chosen = _selected(classes.wnids, chosen)
    order, numbers = _labels_by_wnid(labels, table)
    if missing := [wnid for wnid in chosen if wnid not in numbers]:
        raise LabelError(
            f"{order} has no number for {missing[0]} ({len(missing)} of the {len(chosen)} chosen classes); "
            f"choose classes that it has: classes.wnids={labels.path}"
        )
    ranked = sorted(chosen, key=numbers.__getitem__)[: classes.limit]
    return LabelMap.build({wnid: numbers[wnid] for wnid in ranked}, table, order, labels.dense)


def _class_set(classes: ClassesConfig, fetch: Callable[[str], Path] | None) -> tuple[ClassTable, Sequence[str]]:
    """The table whose index gives the labels, and the classes chosen from it."""
    if not isinstance(classes, SubtreeConfig):
        return read_set(classes.table or "")
    subtree = read_subtree(_local_copy(classes.hierarchy, fetch), classes.root_wnid)
    if classes.table is None:
        return subtree, subtree.wnids
    table, chosen = read_set(classes.table)
    inside = [wnid for wnid in chosen if wnid in subtree.words]
    if not inside:
        raise LabelError(f"{subtree.name} has no class of {classes.table}; type classes.table=null for all its synsets")
    return table, inside


def _local_copy(location: str, fetch: Callable[[str], Path] | None) -> Path:
    if not location.lower().startswith(("http://", "https://")):
        return Path(location)
    if fetch is None:
        raise LabelError(f"{location} cannot be fetched here; download it and type classes.hierarchy=FILE")
    try:
        return fetch(location)
    except SourceError as error:
        raise LabelError(f"classes.hierarchy: {error}; or name a copy that you have: classes.hierarchy=FILE") from error


def _selected(wnids: str | Sequence[str], chosen: Sequence[str]) -> Sequence[str]:
    """The WNIDs of `classes.wnids` (a list, a file, or one WNID), each of them one of the class set."""
    if isinstance(wnids, str) and not WNID.match(wnids):
        requested: Sequence[str] = label_files.read_wnids(Path(wnids))
    else:
        requested = [wnids] if isinstance(wnids, str) else wnids
    chosen_set, seen = frozenset(chosen), set[str]()
    for wnid in requested:
        if wnid not in chosen_set:
            size = len(chosen_set)
            raise LabelError(
                f"classes.wnids: {wnid!r} is none of the {size} classes of the set{did_you_mean(wnid, chosen)}"
            )
        if wnid in seen:
            raise LabelError(f"classes.wnids names {wnid} twice; name it once")
        seen.add(wnid)
    if not seen:
        raise LabelError("classes.wnids names no class; name some, or type classes.wnids=null for all of the set")
    return requested


def _labels_by_wnid(labels: LabelsConfig, table: ClassTable) -> tuple[str, dict[str, int]]:
    """The order in words, and the number that it gives each class."""
    if labels.order == "sorted":
        return f"sorted WNIDs of {table.name}", {wnid: index for index, wnid in enumerate(table.wnids)}
    if labels.order == "clsloc":
        return "devkit numbers 1..1000", _devkit(table)
    if labels.order == "file" and labels.path:
        return f"the order of {labels.path}", label_files.read_numbers(Path(labels.path), table)
    raise LabelError(f"labels.order must be sorted, clsloc or file (with labels.path=FILE), got {labels.order!r}")


def _devkit(table: ClassTable) -> dict[str, int]:
    """ILSVRC2012_ID of each of the 1000 classes: the order of meta.mat and map_clsloc.txt, which clsloc.txt lists."""
    if table.name != "imagenet-1k":
        raise LabelError(f"labels=clsloc numbers the 1000 classes of imagenet-1k, not {table.name}; type labels=sorted")
    return {wnid: number for number, wnid in enumerate(clsloc_wnids(), start=1)}


def clsloc_wnids() -> list[str]:
    """The WNIDs of imagenet-1k in the order of the devkit's ids, 1 to 1000 (its file map_clsloc.txt)."""
    return resources.files("imagenet_nk.classes").joinpath("clsloc.txt").read_text(encoding="ascii").split()
