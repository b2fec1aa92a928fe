"""`backbone=`, `centers.*`, `evaluate.*`: the model that embeds images, and the statistics of the embeddings."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

from omegaconf import MISSING

from imagenet_nk.errors import require

list_of = list  # EvaluateConfig has a field called list


class PreprocessBackend(StrEnum):
    """The implementation of decoding, resizing and cropping."""

    timm = "timm"  # timm's transform, bit for bit
    torch = "torch"  # PyTorch's resize, faster
    gpu = "gpu"  # decoded and resized on the GPU


class RuntimeChoice(StrEnum):
    """The software that runs the model."""

    auto = "auto"
    eager = "eager"
    channels_last = "channels_last"
    openvino = "openvino"


class Dtype(StrEnum):
    """The data type of the model's arithmetic."""

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
    batch_size: int | None = None  # images in a forward pass; null = measured; halved when memory runs out
    threads: int | None = None  # that decode, and on a CPU run the model; null = one for each core
    pool: str | None = None  # timm's global_pool, such as avg, max, token; null = the model's default
    img_size: int | None = None  # height and width of the model's input; null = the model's default
    layer: int | None = None  # embed by an intermediate layer, averaged over space; timm's index, -1 = the last
    preprocess: PreprocessBackend = PreprocessBackend.timm  # torch, gpu: only if embeddings agree with timm's
    runtime: RuntimeChoice = RuntimeChoice.auto  # auto: the fastest here that gives the same embeddings
    dtype: Dtype = Dtype.float32  # sums are float64 in any case
    models: list[str] = field(
        default_factory=list
    )  # several models in one pass, a folder each; [] = only backbone.name

    def __post_init__(self) -> None:
        self.name = re.sub(r"^(hf[_-]hub:)?timm/", "", self.name)  # as timm's pages on the hub name their models
        require(
            bool(self.name or self.models),
            "backbone.name is empty; name a timm model: backbone=timm backbone.name=resnet50",
        )
        require(
            bool(re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device)),
            f"backbone.device must be auto, cpu, cuda, cuda:N or mps, got {self.device!r}",
        )
        for name, minimum in (("batch_size", 1), ("threads", 0), ("img_size", 1)):
            value = getattr(self, name)
            require(value is None or value >= minimum, f"backbone.{name} must be at least {minimum}, got {value}")
        require(len(set(self.models)) == len(self.models), "backbone.models names a model twice; name it once")
        require(
            not self.models or self.checkpoint is None,
            "backbone.models needs published or random weights, not backbone.checkpoint",
        )


class Keep(StrEnum):
    """Whether embeddings stay on disk, for later statistics, evaluations and runs."""

    auto = "auto"  # if they take less than 4 GiB
    always = "always"
    never = "never"


# What to do with an image whose embedding is NaN or infinite. The functional form, since `raise` is a keyword.
NonFinite = StrEnum("NonFinite", {"raise": "raise", "skip": "skip"})


@dataclass
class CentersConfig:
    """`centers.*`: what becomes of the embeddings."""

    cache_embeddings: Keep = Keep.auto
    on_nonfinite: NonFinite = NonFinite["raise"]


HEADS = ("ncm", "knn", "ridge")


@dataclass
class EvaluateConfig:
    """`evaluate.*`: how the embeddings are evaluated beside nearest class means, which always are."""

    list: str | None = None  # evaluate on this list file instead; its images must not be among those of the centers
    heads: list_of[str] = field(default_factory=lambda: ["ncm"])  # classifiers over embeddings: ncm, knn, ridge
    shots: list_of[int] = field(default_factory=list_of)  # few-shot table: images of each class that they are fitted on
    random_splits: int = 0  # also over so many random splits of the images; the repetitions of heads and shots
    test_fraction: float = 0.2  # of each class's images that a random split tests, at least one
    ood: str | None = None  # a list of images of no class, for out-of-distribution scores
    confused_pairs: int = 20  # most confused pairs that are named

    def __post_init__(self) -> None:
        for name in ("random_splits", "confused_pairs"):
            require(getattr(self, name) >= 0, f"evaluate.{name} must be at least 0, got {getattr(self, name)}")
        require(
            0 < self.test_fraction < 1, f"evaluate.test_fraction must lie between 0 and 1, got {self.test_fraction}"
        )
        for head in self.heads:
            require(head in HEADS, f"evaluate.heads: no classifier {head!r}; there are: {', '.join(HEADS)}")
        require(bool(self.heads), f"evaluate.heads is empty; choose from [{','.join(HEADS)}]")
        for shots in self.shots:
            require(shots >= 1, f"evaluate.shots must be at least 1 image of each class, got {shots}")
