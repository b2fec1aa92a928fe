"""The typed schema of one run: defaults and limits of values live here alone; choices are yaml files in conf/.

Nothing here imports more than the standard library and OmegaConf, so that --help and a config error answer at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, is_dataclass
from enum import StrEnum
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from imagenet_nk.errors import ConfigError

STAGES = ("collect", "lists", "centers", "evaluate", "report")
WNID = re.compile(r"n[0-9]{8}\Z")


def require(condition: bool, message: str) -> None:
    """Raise ConfigError(message) unless the condition holds."""
    if not condition:
        raise ConfigError(message)


class Materialize(StrEnum):
    """How the images of a local source come to stand under `dataset.dir`."""

    none = "none"
    link = "link"
    copy = "copy"


class Part(StrEnum):
    """Which images of a local ImageNet."""

    train = "train"
    val = "val"


# --- source=, source@fallback= -----------------------------------------------------------------------------------


@dataclass
class UrlsConfig:
    """`source=urls`: a list of addresses in the fall11 form, `id<TAB>url`."""

    _target_: str = "imagenet_nk.sources.urls.Urls"
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

    _target_: str = "imagenet_nk.sources.archive.Archive"
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

    _target_: str = "imagenet_nk.sources.full.Full"
    root: str | None = None  # the folder of the images, in any layout that people have, or the official tar
    part: Part = Part.train  # train or val
    materialize: Materialize = Materialize.link  # how images come to stand in dataset.dir; those of tars are copied
    download: bool = False  # fetch the official tar into root where root has nothing yet

    def __post_init__(self) -> None:
        require(bool(self.root), "source=full needs the folder of the images: source.root=/data/imagenet")


@dataclass
class HubConfig:
    """`source=hub`: parquet files or webdataset shards, on the Hugging Face hub or here."""

    _target_: str = "imagenet_nk.sources.hub.Hub"
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

    _target_: str = "imagenet_nk.sources.manifest.Manifest"
    path: str | None = None  # manifest.parquet or .csv, here or at an http(s) address
    replace: bool = False  # take what an address gives today where the picture has changed

    def __post_init__(self) -> None:
        require(bool(self.path), "source=manifest needs the manifest: source.path=FILE (manifest.parquet or .csv)")


@dataclass
class DemoConfig:
    """`source=demo`: drawn pictures, served with every usual fault by a loopback server inside the run."""

    _target_: str = "imagenet_nk.sources.demo.Demo"
    per_class: int = 36  # addresses a class, good and bad together

    def __post_init__(self) -> None:
        require(self.per_class >= 1, f"source.per_class must be at least 1, got {self.per_class}")


@dataclass
class NoSourceConfig:
    """`source@fallback=none`: a class that the source leaves short stays short."""

    _target_: str = "imagenet_nk.sources.none.Nothing"


# --- the other groups --------------------------------------------------------------------------------------------


@dataclass
class RandomSamplingConfig:
    """`sampling=random`: candidates in an order drawn from (seed, wnid, image id)."""

    _target_: str = "imagenet_nk.sampling.RandomOrder"


@dataclass
class ListSamplingConfig:
    """`sampling=list`: the images that a list names, in its order."""

    _target_: str = "imagenet_nk.sampling_list.ListedOrder"
    path: str | None = None  # file names or image ids, one a line

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
    under: str = ""  # the synset at the top
    structure: str = ""  # structure_released.xml: path, http or https

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            bool(WNID.match(self.under)),
            f"classes=subtree needs the WNID of the synset at its top, got {self.under!r}: classes.under=n02084071",
        )
        require(bool(self.structure), "classes.structure must be the path or address of structure_released.xml")


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


class Pixels(StrEnum):
    """Which resize gives a backbone its pixels."""

    exact = "exact"
    fast = "fast"


class Runtime(StrEnum):
    """What runs the model."""

    auto = "auto"
    eager = "eager"
    compile = "compile"
    openvino = "openvino"


class Dtype(StrEnum):
    """Arithmetic of the model."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


@dataclass
class BackboneConfig:
    """`backbone=`: a timm model without its head."""

    name: str = MISSING  # any name of timm.list_models()
    pretrained: bool = True  # weights from the hub
    checkpoint: str | None = None  # a local weights file instead, with or without its head
    device: str = "auto"  # auto, cpu, cuda, cuda:1, mps
    batch_size: int | None = None  # images a forward pass; null = found out, and halved where memory runs out
    workers: int | None = None  # threads that decode; on a CPU each also runs the model; null = one a core
    pool: str | None = None  # timm's global_pool, as avg, max, token; null = the model's own
    img_size: int | None = None  # height and width of the model's input; null = the model's own
    layer: int | None = None  # mean over space of an intermediate layer instead, counted as timm does; -1 = the last
    pixels: Pixels = Pixels.exact  # fast: another resize, within the tolerance of the exact centers or not used
    runtime: Runtime = Runtime.auto  # auto: the quickest here of those that give the same embeddings
    dtype: Dtype = Dtype.float32  # of the model's arithmetic; sums are float64 in any case
    names: list[str] = field(default_factory=list)  # several models in one pass, one folder each; [] = name alone

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("workers", 0), ("img_size", 1)):
            value = getattr(self, name)
            require(value is None or value >= least, f"backbone.{name} must be at least {least}, got {value}")
        if self.names:
            require(
                self.checkpoint is None, "backbone.names goes with published or random weights, not backbone.checkpoint"
            )


class Keep(StrEnum):
    """Whether embeddings stay on disk, for other statistics, evaluations and runs."""

    auto = "auto"  # as long as they take less than 4 GiB
    always = "always"
    never = "never"


class NonFinite(StrEnum):
    """What to do with an image whose embedding is NaN or infinite."""

    stop = "stop"
    skip = "skip"


class Cache(StrEnum):
    """What of the decoded images stays on disk for the next backbone."""

    none = "none"
    crops = "crops"


@dataclass
class CentersConfig:
    """`centers.*`: what is kept of each class beside mean, count, spread and medoid."""

    normalized: bool = False  # also the mean of the L2-normalised embeddings
    geometric_median: bool = False  # also the point with the least sum of distances
    prototypes: int = 1  # also so many k-means centers a class, if more than 1
    covariance: bool = False  # also the covariance that the classes share, (D, D)
    embeddings: Keep = Keep.auto
    nonfinite: NonFinite = NonFinite.stop

    def __post_init__(self) -> None:
        require(self.prototypes >= 1, f"centers.prototypes must be at least 1, got {self.prototypes}")


@dataclass
class EvaluateConfig:
    """`evaluate.*`: how the centers are judged."""

    list: str | None = None  # judge on this list file instead
    seeds: int = 0  # also so many random divisions of the images into those of centers and those judged
    share: float = 0.2  # of each class's images that such a division judges, at least one
    bootstrap: int = 1000  # resamples behind a confidence interval; 0 = no interval
    pairs: int = 20  # most confused pairs that are named

    def __post_init__(self) -> None:
        for name in ("seeds", "bootstrap", "pairs"):
            require(getattr(self, name) >= 0, f"evaluate.{name} must be at least 0, got {getattr(self, name)}")
        require(0 < self.share < 1, f"evaluate.share must lie between 0 and 1, got {self.share}")


@dataclass
class EngineConfig:
    """`engine=`: where work runs."""

    _target_: str = MISSING


# --- plain values ------------------------------------------------------------------------------------------------


@dataclass
class DatasetConfig:
    dir: str = "dataset/imagenet"  # images, lists, ledger and manifest of this data set


@dataclass
class HttpConfig:
    """Limits of everything that is asked of the web."""

    concurrency: int = 512  # requests in flight in all
    per_host: int = 32  # requests in flight to one host
    per_host_rate: float | None = None  # requests a second to one host; null = as fast as it answers
    host_rates: dict[str, float] = field(default_factory=lambda: {"web.archive.org": 1.0})  # the same, host by host
    connect_timeout: float = 4.0  # seconds until a connection stands
    stall: float = 4.0  # seconds without a first byte, or below min_speed, until a request is given up
    min_speed: int = 10_000  # bytes a second
    deadline: float = 10.0  # seconds for one request in all, redirects included
    max_bytes: int = 32 * 2**20  # bytes of one body; more is rejected while reading
    max_redirects: int = 5
    retries: int = 1  # further tries after 429, 5xx and timeouts
    backoff: float = 0.5  # seconds before the first retry, doubled each time, with jitter
    dead_host_after: int = 4  # failures running until a host that never answered is set aside
    max_pause: float = 60.0  # seconds of Retry-After that are waited for; more is a rejection
    allow_private: bool = False  # let loopback, private and link-local addresses through the guard
    verify_tls: bool = True
    respect_opt_out: list[str] = field(
        default_factory=lambda: ["noai", "noimageai", "noindex", "noimageindex", "none"]
    )  # X-Robots-Tag
    robots_txt: bool = False  # ask each host's robots.txt first
    user_agent: str = "imagenet-nk/0.1 (research sampling of ImageNet URLs; contact: {contact})"
    contact: str = "not given"  # an address that a webmaster can write to
    attempts: list[str] = field(  # URL templates, tried in turn for a candidate; also https://web.archive.org/
        default_factory=lambda: ["{url}", "{https}", "{flickr}"]  # web/{timestamp}id_/{url}, the Wayback Machine's copy
    )
    timestamp: str = "2011"  # {timestamp} of a template: the Wayback Machine gives the copy nearest to it

    def __post_init__(self) -> None:
        for name in ("concurrency", "per_host", "max_bytes", "dead_host_after"):
            require(getattr(self, name) >= 1, f"http.{name} must be at least 1, got {getattr(self, name)}")
        for name in ("retries", "max_redirects", "backoff"):
            require(getattr(self, name) >= 0, f"http.{name} must be at least 0, got {getattr(self, name)}")
        for name in ("connect_timeout", "stall", "deadline"):
            require(getattr(self, name) > 0, f"http.{name} must be more than 0 seconds, got {getattr(self, name)}")
        require(bool(self.attempts), "http.attempts must name at least one URL template, such as ['{url}']")


class CrossClass(StrEnum):
    """What to do with the same picture in two classes."""

    report = "report"
    drop = "drop"


@dataclass
class InspectConfig:
    """What makes the bytes of a candidate a valid image."""

    min_side: int = 32  # pixels; a shorter side is too_small
    max_pixels: int = 100_000_000  # width x height, read from the header before decoding
    placeholder_repeats: int = 3  # the same bytes from so many addresses are a placeholder
    placeholder_urls: list[str] = field(  # regular expressions on the final URL
        default_factory=lambda: [r"photo_unavailable", r"image_?not_?(found|available)", r"removed\.png"]
    )
    near_duplicate: int | None = None  # bits of a 64-bit perceptual hash within which two images of a class are one
    cross_class: CrossClass = CrossClass.report

    def __post_init__(self) -> None:
        require(self.min_side >= 1, f"inspect.min_side must be at least 1, got {self.min_side}")
        require(self.max_pixels >= 1, f"inspect.max_pixels must be at least 1, got {self.max_pixels}")
        require(
            self.placeholder_repeats >= 2,
            f"inspect.placeholder_repeats must be at least 2, got {self.placeholder_repeats}",
        )
        for pattern in self.placeholder_urls:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ConfigError(f"inspect.placeholder_urls: {pattern!r} is no regular expression: {error}") from error


@dataclass
class ReportConfig:
    run: str | None = None  # output folder to report on; null = this run's, or the newest one over this data set


@dataclass
class ListsConfig:
    separator: str = " "  # between path and label; "," writes comma rows with a header

    def __post_init__(self) -> None:
        require(self.separator in (" ", ","), f"lists.separator must be ' ' or ',', got {self.separator!r}")


class Retry(StrEnum):
    """Which rejected candidates of an earlier run are asked again."""

    none = "none"
    transient = "transient"
    failed = "failed"


@dataclass
class Config:
    """One run."""

    nk: int | None = 10  # images kept per class, >= 1; null = all that the source has
    seed: int = 0  # of the draw order and the split
    source: Any = MISSING
    fallback: Any = MISSING
    sampling: Any = MISSING
    classes: Any = MISSING
    labels: Any = MISSING
    split: Any = MISSING
    backbone: Any = MISSING
    engine: Any = MISSING
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    http: HttpConfig = field(default_factory=HttpConfig)
    inspect: InspectConfig = field(default_factory=InspectConfig)
    lists: ListsConfig = field(default_factory=ListsConfig)
    centers: CentersConfig = field(default_factory=CentersConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    cache: Cache = Cache.none  # crops: the second backbone of a sweep with the same input does not decode again
    stages: list[str] = field(default_factory=lambda: list(STAGES))
    retry: Retry = Retry.none
    plan: bool = False  # print what would be done and stop
    require_complete: bool = True  # exit 3 when a class is short

    def __post_init__(self) -> None:
        require(self.nk is None or self.nk >= 1, f"nk must be at least 1, or null for all, got {self.nk}")
        for stage in self.stages:
            require(stage in STAGES, f"stages: no stage {stage!r}; there are: {', '.join(STAGES)}")
        require(len(self.stages) > 0, f"stages is empty; choose from [{','.join(STAGES)}]")


def refuse_unknown(node: DictConfig, prefix: str = "") -> None:
    """Raise ConfigError for a key that no schema has: `+key=value` would carry one past Hydra, to be ignored."""
    kind = OmegaConf.get_type(node)
    known = {one.name for one in fields(kind)} if is_dataclass(kind) else {str(key) for key in node}
    for key in map(str, node):
        if key not in known:
            raise ConfigError(f"there is no key {prefix + key!r} to add; --cfg job shows all keys")
        if isinstance(value := node._get_node(key), DictConfig) and not value._is_none():
            refuse_unknown(value, f"{prefix}{key}.")


def register() -> None:
    """Make the schemas known to Hydra, under names that the yaml files of conf/ extend."""
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    for group, name, node in (
        ("source", "urls", UrlsConfig),
        ("source", "archive", ArchiveConfig),
        ("source", "full", FullConfig),
        ("source", "hub", HubConfig),
        ("source", "manifest", ManifestConfig),
        ("source", "demo", DemoConfig),
        ("source", "none", NoSourceConfig),
        ("sampling", "random", RandomSamplingConfig),
        ("sampling", "list", ListSamplingConfig),
        ("classes", "table", ClassesConfig),
        ("classes", "subtree", SubtreeConfig),
        ("labels", "labels", LabelsConfig),
        ("split", "split", SplitConfig),
        ("backbone", "timm", BackboneConfig),
        ("engine", "local", EngineConfig),
    ):
        store.store(group=f"schema/{group}", name=name, node=node)
