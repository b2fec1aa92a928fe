"""`backbone=`, `centers.*`, `evaluate.*`: what embeds images, and what is made of the embeddings."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from omegaconf import MISSING

from imagenet_nk.errors import require


class PreprocessBackend(StrEnum):
    """Which resize gives a backbone its pixels."""

    timm = "timm"  # timm's transform, bit for bit
    torch = "torch"  # torch's resize
    gpu = "gpu"  # decoded and resized on the GPU


class RuntimeChoice(StrEnum):
    """What runs the model."""

    auto = "auto"
    eager = "eager"
    channels_last = "channels_last"
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
    threads: int | None = None  # threads that decode; on a CPU each also runs the model; null = one a core
    pool: str | None = None  # timm's global_pool, as avg, max, token; null = the model's own
    img_size: int | None = None  # height and width of the model's input; null = the model's own
    layer: int | None = None  # mean over space of an intermediate layer instead, counted as timm does; -1 = the last
    preprocess: PreprocessBackend = (
        PreprocessBackend.timm
    )  # torch, gpu: used only within the tolerance of timm's centers
    runtime: RuntimeChoice = RuntimeChoice.auto  # auto: the quickest here of those that give the same embeddings
    dtype: Dtype = Dtype.float32  # of the model's arithmetic; sums are float64 in any case
    models: list[str] = field(default_factory=list)  # several models in one pass, one folder each; [] = name alone

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("threads", 0), ("img_size", 1)):
            value = getattr(self, name)
            require(value is None or value >= least, f"backbone.{name} must be at least {least}, got {value}")
        if self.models:
            require(
                self.checkpoint is None,
                "backbone.models goes with published or random weights, not backbone.checkpoint",
            )


class Keep(StrEnum):
    """Whether embeddings stay on disk, for other statistics, evaluations and runs."""

    auto = "auto"  # as long as they take less than 4 GiB
    always = "always"
    never = "never"


# What to do with an image whose embedding is NaN or infinite. The functional form, since `raise` is a keyword.
NonFinite = StrEnum("NonFinite", {"raise": "raise", "skip": "skip"})


@dataclass
class CentersConfig:
    """`centers.*`: what is kept of each class beside mean, count, spread and medoid."""

    normalized: bool = False  # also the mean of the L2-normalised embeddings
    prototypes: int = 1  # also so many k-means centers a class, if more than 1
    covariance: bool = False  # also the covariance that the classes share, (D, D)
    cache_embeddings: Keep = Keep.auto
    on_nonfinite: NonFinite = NonFinite["raise"]

    def __post_init__(self) -> None:
        require(self.prototypes >= 1, f"centers.prototypes must be at least 1, got {self.prototypes}")


@dataclass
class EvaluateConfig:
    """`evaluate.*`: how the centers are judged."""

    list: str | None = None  # judge on this list file instead
    random_splits: int = 0  # also so many random divisions of the images into those of centers and those judged
    test_fraction: float = 0.2  # of each class's images that such a division judges, at least one
    bootstrap: int = 1000  # resamples behind a confidence interval; 0 = no interval
    confused_pairs: int = 20  # most confused pairs that are named

    def __post_init__(self) -> None:
        for name in ("random_splits", "bootstrap", "confused_pairs"):
            require(getattr(self, name) >= 0, f"evaluate.{name} must be at least 0, got {getattr(self, name)}")
        require(
            0 < self.test_fraction < 1, f"evaluate.test_fraction must lie between 0 and 1, got {self.test_fraction}"
        )
