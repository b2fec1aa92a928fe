"""`export=`: the form in which the stage export hands the data set over."""

from __future__ import annotations

from dataclasses import dataclass

from imagenet_nk.errors import require


@dataclass
class NoExportConfig:
    """`export=none`: there is nothing for the stage export to write."""

    dir: str | None = None  # where to write; null = export/ in the run's output folder


@dataclass
class ImageFolderExportConfig(NoExportConfig):
    """`export=imagefolder`: val/<wnid>/<image>, for torchvision and most training code."""

    _target_: str = "imagenet_nk.export.imagefolder.ImageFolder"
    copy: bool = False  # copy the files; false = hard links where the file system has them


@dataclass
class WebDatasetExportConfig(NoExportConfig):
    """`export=webdataset`: tar shards."""

    _target_: str = "imagenet_nk.export.webdataset.WebDataset"
    images_per_shard: int = 1000

    def __post_init__(self) -> None:
        require(self.images_per_shard >= 1, f"export.images_per_shard must be at least 1, got {self.images_per_shard}")


@dataclass
class HuggingFaceExportConfig(NoExportConfig):
    """`export=hf`: parquet files for datasets.load_dataset."""

    _target_: str = "imagenet_nk.export.huggingface.HuggingFace"


@dataclass
class OneHotExportConfig(NoExportConfig):
    """`export=onehot`: lists of `path 0 0 1 ...`."""

    _target_: str = "imagenet_nk.export.onehot.OneHot"


@dataclass
class CalibrationExportConfig(NoExportConfig):
    """`export=calibration`: preprocessed arrays as npz, for quantization."""

    _target_: str = "imagenet_nk.export.calibration.Calibration"
    model: str = "${backbone.name}"  # whose timm transform makes the arrays
    images_per_class: int = 1
    max_bytes: int = 4 * 2**30  # of the arrays, which are made in memory

    def __post_init__(self) -> None:
        require(self.images_per_class >= 1, f"export.images_per_class must be at least 1, got {self.images_per_class}")


@dataclass
class FiftyOneExportConfig(NoExportConfig):
    """`export=fiftyone`: FiftyOneImageClassificationDataset."""

    _target_: str = "imagenet_nk.export.fiftyone.FiftyOne"
    copy: bool = False  # copy the files; false = hard links where the file system has them


@dataclass
class CroissantExportConfig(NoExportConfig):
    """`export=croissant`: croissant.json with the manifest, without images."""

    _target_: str = "imagenet_nk.export.croissant.Croissant"
    name: str = "imagenet-nk sample"
    license: str = "https://image-net.org/download.php"
