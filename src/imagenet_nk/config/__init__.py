"""The typed schema of one run: defaults and limits of values live here alone; choices are yaml files in conf/.

Nothing here imports more than the standard library and OmegaConf, so that --help and a config error answer at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf

from imagenet_nk.config.backbones import (
    BackboneConfig,
    CentersConfig,
    Dtype,
    EvaluateConfig,
    Keep,
    NonFinite,
    PreprocessBackend,
    RuntimeChoice,
)
from imagenet_nk.config.choices import (
    ClassesConfig,
    DatasetConfig,
    LabelsConfig,
    ListSamplingConfig,
    ListsConfig,
    MlflowConfig,
    RandomSamplingConfig,
    ReportConfig,
    SplitConfig,
    SubtreeConfig,
    TensorboardConfig,
    TrackerConfig,
)
from imagenet_nk.config.collecting import CrossClassDuplicates, HttpConfig, InspectConfig, Retry
from imagenet_nk.config.engines import LocalEngineConfig, RayEngineConfig
from imagenet_nk.config.exports import (
    CalibrationExportConfig,
    CroissantExportConfig,
    FiftyOneExportConfig,
    HuggingFaceExportConfig,
    ImageFolderExportConfig,
    NoExportConfig,
    OneHotExportConfig,
    WebDatasetExportConfig,
)
from imagenet_nk.config.sources import (
    ArchiveConfig,
    DemoConfig,
    FullConfig,
    HubConfig,
    ManifestConfig,
    Materialize,
    NoSourceConfig,
    Part,
    UrlsConfig,
)
from imagenet_nk.errors import ConfigError, require

__all__ = [
    "STAGES",
    "ArchiveConfig",
    "BackboneConfig",
    "CalibrationExportConfig",
    "CentersConfig",
    "ClassesConfig",
    "Config",
    "CroissantExportConfig",
    "CrossClassDuplicates",
    "DatasetConfig",
    "DemoConfig",
    "Dtype",
    "EvaluateConfig",
    "FiftyOneExportConfig",
    "FullConfig",
    "HttpConfig",
    "HubConfig",
    "HuggingFaceExportConfig",
    "ImageFolderExportConfig",
    "InspectConfig",
    "Keep",
    "LabelsConfig",
    "ListSamplingConfig",
    "ListsConfig",
    "LocalEngineConfig",
    "ManifestConfig",
    "Materialize",
    "MlflowConfig",
    "NoExportConfig",
    "NoSourceConfig",
    "NonFinite",
    "OneHotExportConfig",
    "Part",
    "PreprocessBackend",
    "RandomSamplingConfig",
    "RayEngineConfig",
    "ReportConfig",
    "Retry",
    "RuntimeChoice",
    "SplitConfig",
    "SubtreeConfig",
    "TensorboardConfig",
    "TrackerConfig",
    "UrlsConfig",
    "WebDatasetExportConfig",
    "refuse_unknown",
    "register",
]

DEFAULT_STAGES = ("collect", "lists", "centers", "evaluate", "report")
STAGES = (*DEFAULT_STAGES, "export", "verify")


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
    tracker: Any = MISSING
    export: Any = MISSING
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    http: HttpConfig = field(default_factory=HttpConfig)
    inspect: InspectConfig = field(default_factory=InspectConfig)
    lists: ListsConfig = field(default_factory=ListsConfig)
    centers: CentersConfig = field(default_factory=CentersConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    stages: list[str] = field(default_factory=lambda: list(DEFAULT_STAGES))
    retry: Retry = Retry.none
    plan: bool = False  # print what would be done and stop
    require_complete: bool = True  # exit 3 when a class is short

    def __post_init__(self) -> None:
        require(
            self.nk is None or self.nk >= 1,
            f"nk must be at least 1, or null for all that the source has, got {self.nk}",
        )
        held_out = getattr(self.split, "eval_per_class", None)
        require(
            self.nk is None or held_out is None or held_out < self.nk,
            f"split.eval_per_class={held_out} leaves nothing for train.txt with nk={self.nk}; make it less than nk",
        )
        for stage in self.stages:
            require(stage in STAGES, f"stages: no stage {stage!r}; there are: {', '.join(STAGES)}")
        require(
            "export" not in self.stages or hasattr(self.export, "_target_"),
            "the stage export needs a form: type export=imagefolder, webdataset, hf, onehot, calibration, fiftyone or "
            "croissant",
        )
        require(len(self.stages) > 0, f"stages is empty; choose from [{','.join(STAGES)}]")


def refuse_unknown(node: DictConfig, prefix: str = "") -> None:
    """Raise ConfigError for a key that no schema has: `+key=value` would carry one past Hydra, to be ignored."""
    kind = OmegaConf.get_type(node)
    keys = {one.name for one in fields(kind)} if is_dataclass(kind) else {str(key) for key in node}
    for key in map(str, node):
        if key not in keys:
            raise ConfigError(f"there is no key {prefix + key!r} to add; --cfg job shows all keys")
        if isinstance(value := node._get_node(key), DictConfig) and not value._is_none():
            refuse_unknown(value, f"{prefix}{key}.")


def register() -> None:
    """Make the schemas known to Hydra, under names that the yaml files of conf/ extend."""
    from hydra.core.config_store import ConfigStore  # half a second that a worker of an engine does not pay

    store = ConfigStore.instance()
    # Hydra copies its only store some hundred times to answer --help, without changing a copy: a second of nothing.
    vars(store)["__deepcopy__"] = lambda memo: store  # noqa: ARG005
    schema = OmegaConf.structured(Config)
    OmegaConf.set_struct(schema.http.host_rates, False)  # its keys are hosts, not settings
    store.store(name="schema", node=schema)
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
        ("engine", "local", LocalEngineConfig),
        ("engine", "ray", RayEngineConfig),
        ("export", "none", NoExportConfig),
        ("export", "imagefolder", ImageFolderExportConfig),
        ("export", "webdataset", WebDatasetExportConfig),
        ("export", "hf", HuggingFaceExportConfig),
        ("export", "onehot", OneHotExportConfig),
        ("export", "calibration", CalibrationExportConfig),
        ("export", "fiftyone", FiftyOneExportConfig),
        ("export", "croissant", CroissantExportConfig),
        ("tracker", "none", TrackerConfig),
        ("tracker", "tensorboard", TensorboardConfig),
        ("tracker", "mlflow", MlflowConfig),
    ):
        store.store(group=f"schema/{group}", name=name, node=node)
