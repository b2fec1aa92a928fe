"""The groups beside sources and backbones, and the small keys: which classes, which labels, which split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING

from imagenet_nk.errors import require
from imagenet_nk.image_ids import WNID


@dataclass
class RandomSamplingConfig:
    """`sampling=random`: candidates in an order drawn from (seed, wnid, image id)."""

    _target_: str = "imagenet_nk.sampling.draw_order.RandomOrder"


@dataclass
class ListSamplingConfig:
    """`sampling=list`: the images that a list names, in its order."""

    _target_: str = "imagenet_nk.sources.validation_names.ListedImages"
    path: str | None = None  # file names or image ids, one a line
    labels: str | None = (
        "${oc.select:source.devkit,null}"  # devkit or LOC_val_solution.csv: classes of validation images
    )
    root: Any = "${oc.select:source.root,null}"  # folder in which either may lie

    def __post_init__(self) -> None:
        require(bool(self.path), "sampling=list needs the list: sampling.path=FILE (file names, one a line)")


@dataclass
class ClassesConfig:
    """`classes=`: which classes, out of which table."""

    table: str | None = MISSING  # name of the class set in timm's tables
    wnids: Any = None  # a list of WNIDs, or a file with one a line; null = all of the class set
    limit: int | None = None  # only the first n classes of the set, in label order

    def __post_init__(self) -> None:
        require(self.limit is None or self.limit >= 1, f"classes.limit must be at least 1 or null, got {self.limit}")
        require(
            self.wnids is None or isinstance(self.wnids, str | list),
            f"classes.wnids must be a list of WNIDs or a file with one a line, got {self.wnids!r}",
        )
        if isinstance(self.wnids, list):
            for wnid in self.wnids:
                require(bool(WNID.match(str(wnid))), f"classes.wnids: {wnid!r} is no WNID (n and eight digits)")


@dataclass
class SubtreeConfig(ClassesConfig):
    """`classes=subtree`: a synset and all below it in ImageNet's hierarchy."""

    table: str | None = None  # only those of this table, with its labels; null = all, numbered 0..C-1
    root_wnid: str = ""  # the synset at the top
    hierarchy: str = ""  # structure_released.xml: path, http or https

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            bool(WNID.match(self.root_wnid)),
            "classes=subtree needs the WNID of the synset at its top, such as classes.root_wnid=n02084071, "
            f"got {self.root_wnid!r}",
        )
        require(bool(self.hierarchy), "classes.hierarchy must be the path or address of structure_released.xml")


@dataclass
class LabelsConfig:
    """`labels=`: the order that gives a class its number."""

    order: str = MISSING  # sorted, clsloc or file
    path: str | None = None  # labels=file: map_clsloc.txt, an index dictionary, or a plain list of WNIDs
    dense: bool = False  # renumber the chosen classes 0..C-1 in this order, and write the map

    def __post_init__(self) -> None:
        require(self.order != "file" or bool(self.path), "labels=file needs labels.path=FILE")


@dataclass
class SplitConfig:
    """`split=`: which images go to eval.txt."""

    _target_: str = MISSING
    eval_per_class: int | None = None  # holdout: images of each class in eval.txt; the rest go to train.txt


@dataclass
class TrackerConfig:
    """`tracker=none`: figures stay in the output folder."""

    _target_: str = "imagenet_nk.trackers.none.NullTracker"


@dataclass
class TensorboardConfig(TrackerConfig):
    """`tracker=tensorboard`: event files, with the centers in the embedding projector."""

    _target_: str = "imagenet_nk.trackers.tensorboard.Tensorboard"
    dir: str | None = None  # where runs are gathered, a folder each; null = in each output folder


@dataclass
class MlflowConfig(TrackerConfig):
    """`tracker=mlflow`: a run of an experiment, with parameters, metrics and artifacts."""

    _target_: str = "imagenet_nk.trackers.mlflow.Mlflow"
    uri: str = "outputs/mlruns"  # a folder, or the address of a tracking server
    experiment: str = "imagenet-nk"


@dataclass
class DatasetConfig:
    dir: str = "dataset/imagenet"  # images, lists and manifest of this data set; a folder, or a URL such as s3://...
    state_dir: str | None = (
        None  # ledger, indexes, embeddings; null = in dir, or for a URL dataset/<protocol>/<its path>
    )

    def __post_init__(self) -> None:
        require(bool(self.dir.strip()), "dataset.dir is empty; type dataset.dir=FOLDER")


@dataclass
class ReportConfig:
    run: str | None = None  # output folder to report on; null = this run's, or the newest one over this data set


@dataclass
class ListsConfig:
    separator: str = " "  # between path and label; "," writes comma rows with a header

    def __post_init__(self) -> None:
        require(self.separator in (" ", ","), f"lists.separator must be ' ' or ',', got {self.separator!r}")
