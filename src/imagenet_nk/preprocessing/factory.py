"""Makes the preprocessor of a configuration, and reads images for it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from imagenet_nk.config.backbones import PreprocessBackend
from imagenet_nk.errors import BackboneError
from imagenet_nk.preprocessing.gpu import GpuPreprocessor
from imagenet_nk.preprocessing.transforms import Preprocessor, TimmPreprocessor, TorchPreprocessor
from imagenet_nk.preprocessing.types import Collate, Preprocess
from imagenet_nk.storage import files

log = logging.getLogger(__name__)


def make_preprocessor(
    data: Mapping[str, Any], backend: PreprocessBackend, devices: Sequence[torch.device]
) -> Preprocessor:
    """The preprocessor of a backend. Raises BackboneError for a transform that it does not support."""
    if backend != PreprocessBackend.gpu:
        return TorchPreprocessor(data) if backend == PreprocessBackend.torch else TimmPreprocessor(data)
    if len(devices) > 1:  # torchvision has one decoder a process, and rebuilds it for another GPU
        raise BackboneError(
            "backbone.preprocess=gpu uses one GPU per process; type backbone.device=cuda:0, or backbone.preprocess=timm"
        )
    if devices[0].type != "cuda":
        log.warning("backbone.preprocess=gpu: no GPU is in use; torchvision decodes on the CPU instead")
    return GpuPreprocessor(data, devices[0] if devices[0].type == "cuda" else torch.device("cpu"))


@contextmanager
def open_loader(preprocessor: Preprocessor, images: Sequence[Path]) -> Iterator[tuple[Preprocess, Collate]]:
    """A function that reads and preprocesses one of these images, and one that makes a batch of its results."""
    with files.reader(images) as read:
        yield (lambda path: preprocessor(read(path))), preprocessor.batch
