"""`export=calibration`: preprocessed arrays of a few images of each class, for post-training quantization."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imagenet_nk.errors import ConfigError, DatasetError
from imagenet_nk.export.contract import ExportData, ExportImage


class Calibration:
    """calibration.npz: images (N, 3, H, W) float32 as the backbone's timm transform makes them, labels (N,), ids (N,).

    A calibrator reads it as np.load(FILE)["images"]; docs/export.md shows ONNX Runtime and NNCF.
    """

    def __init__(self, model: str, images_per_class: int = 1, max_bytes: int = 4 * 2**30) -> None:
        """model: any timm model, of which only the transform is used. Raises ConfigError for a name timm lacks."""
        import timm

        if not timm.is_model(model.partition(".")[0]):
            raise ConfigError(f"timm has no model {model!r}: type export.model=NAME, or backbone=NAME")
        self.model, self.images_per_class, self.max_bytes = model, images_per_class, max_bytes

    def write(self, data: ExportData, folder: Path) -> None:
        """Write into an empty folder. Raises DatasetError where the arrays would take more than max_bytes."""
        from timm.data import create_transform, resolve_data_config
        from timm.models import get_pretrained_cfg

        from imagenet_nk.lists.torch_dataset import load_rgb

        config = get_pretrained_cfg(self.model)
        settings = resolve_data_config({}, pretrained_cfg=config.to_dict() if config is not None else {})
        transform = create_transform(**settings, is_training=False)
        images = _first_of_each_class(data.images, self.images_per_class)
        size = 4 * len(images) * int(np.prod(settings["input_size"]))
        if size > self.max_bytes:
            raise DatasetError(
                f"{len(images)} arrays of {self.model} would take {size / 2**30:.1f} GiB; "
                "type a smaller export.images_per_class, or a larger export.max_bytes"
            )
        arrays = np.stack([np.asarray(transform(load_rgb(image.path)), np.float32) for image in images])
        np.savez(
            folder / "calibration.npz",
            images=arrays,
            labels=np.array([image.label for image in images], np.int64),
            image_ids=np.array([image.image_id for image in images]),
            transform=np.array(str(transform)),
        )


def _first_of_each_class(images: Sequence[ExportImage], count: int) -> list[ExportImage]:
    counts: Counter[int] = Counter()
    chosen = []
    for image in images:
        if counts[image.label] < count:
            counts[image.label] += 1
            chosen.append(image)
    return chosen
