"""`source=` and `source@fallback=`: where images come from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from omegaconf import MISSING

from imagenet_nk.errors import require


class Materialize(StrEnum):
    """How the images of a local source come to stand under `dataset.dir`."""

    none = "none"
    link = "link"
    copy = "copy"


class Part(StrEnum):
    """Which images of a local ImageNet."""

    train = "train"
    val = "val"


class NumberOrder(StrEnum):
    """What the numbers of classes mean: folders 0, 1, ... or the numbers of a table."""

    sorted = "sorted"  # 0..999 by WNID, as torchvision and timm count
    clsloc = "clsloc"  # 1..1000 of the devkit


@dataclass
class UrlsConfig:
    """`source=urls`: a list of addresses in the fall11 form, `id<TAB>url`."""

    _target_: str = "imagenet_nk.sources.urls.source.Urls"
    list: Any = MISSING  # one location (path, http, https) or several, tried in order

    def __post_init__(self) -> None:
        locations = [self.list] if isinstance(self.list, str) else self.list
        require(
            isinstance(locations, list)
            and bool(locations)
            and all(isinstance(location, str) and location for location in locations),
            "source.list must be a path or an http(s) address, or several: source.list=[first.txt,second.tgz]",
        )


@dataclass
class ArchiveConfig:
    """`source=archive`: a few images of each class out of large tars, without fetching those."""

    _target_: str = "imagenet_nk.sources.archive.source.Archive"
    train: str | None = None  # path or address of a tar of tars, one <wnid>.tar a class
    val: str | None = None  # of the flat tar of validation images; goes before train
    devkit: str | None = None  # of the devkit, whose ground truth says what class each of them is
    synset: str | None = None  # of one tar a class, with {wnid} in its name; goes before both

    def __post_init__(self) -> None:
        require(
            bool(self.synset or self.train or (self.val and self.devkit)),
            "source=archive needs source.train=TAR, source.synset=TEMPLATE, or source.val=TAR with source.devkit=TAR",
        )
        require(
            not self.synset or "{wnid}" in self.synset,
            f"source.synset={self.synset} needs {{wnid}} where the name of the class belongs",
        )
        require(not self.val or bool(self.devkit), "source.val needs source.devkit: it says what class each image is")


@dataclass
class FullConfig:
    """`source=full`: images that are already here, one folder a class."""

    _target_: str = "imagenet_nk.sources.local.source.Full"
    root: Any = None  # the folder of the images, in any layout that people have, a tar or zip of them, or several
    part: Part = Part.train  # train or val
    materialize: Materialize = Materialize.link  # how images come to stand in dataset.dir; those of tars are copied
    download: bool = False  # fetch the official tar into root where root has nothing yet
    order: NumberOrder | None = None  # what folders or tables that number classes mean; never guessed

    def __post_init__(self) -> None:
        require(bool(self.root), "source=full needs the folder of the images: source.root=/data/imagenet")
        roots = [self.root] if isinstance(self.root, str) else self.root
        require(
            isinstance(roots, list) and all(isinstance(root, str) and root for root in roots),
            "source.root must be a path, or several: source.root=[/data/first,/data/second]",
        )
        require(
            not self.download or len(roots) == 1, "source.download=true fetches into one folder; name one source.root"
        )


@dataclass
class HubConfig:
    """`source=hub`: parquet files or webdataset shards, on the Hugging Face hub or here."""

    _target_: str = "imagenet_nk.sources.hub.source.Hub"
    dataset: str = "ILSVRC/imagenet-1k"  # a name on the hub, or a folder or file here
    split: str = "train"
    revision: str = "main"  # branch, tag or commit on the hub
    sorted_labels: bool = False  # labels that come without names count the sorted WNIDs from 0 on

    def __post_init__(self) -> None:
        require(bool(self.dataset), "source.dataset is empty; name a data set such as ILSVRC/imagenet-1k")
        require(bool(self.split), "source.split is empty; choose train, validation or test")


@dataclass
class ManifestConfig:
    """`source=manifest`: the very images of someone's manifest, fetched again and compared."""

    _target_: str = "imagenet_nk.sources.manifest.source.Manifest"
    path: str | None = None  # manifest.parquet or .csv, here or at an http(s) address
    replace: bool = False  # take what an address gives today where the picture has changed

    def __post_init__(self) -> None:
        require(bool(self.path), "source=manifest needs the manifest: source.path=FILE (manifest.parquet or .csv)")


@dataclass
class DemoConfig:
    """`source=demo`: drawn pictures, served with every usual fault by a loopback server inside the run."""

    _target_: str = "imagenet_nk.sources.demo.source.Demo"
    per_class: int = 36  # addresses a class, good and bad together

    def __post_init__(self) -> None:
        require(self.per_class >= 1, f"source.per_class must be at least 1, got {self.per_class}")


@dataclass
class NoSourceConfig:
    """`source@fallback=none`: a class that the source leaves short stays short."""

    _target_: str = "imagenet_nk.sources.none.NoSource"
