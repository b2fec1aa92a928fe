"""Forward passes over batches that do not fit as they are: too large for the memory, or not of the compiled size."""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor

from imagenet_nk.errors import CentersError
from imagenet_nk.preprocessing.transforms import RGBArray
from imagenet_nk.preprocessing.types import Floats, Forward

log = logging.getLogger(__name__)


def halve_on_oom(forward: Forward) -> Forward:
    """`forward`, with a batch that does not fit into memory cut in halves.

    The result raises CentersError if a single image does not fit.
    """

    def forward_in_halves(crops: RGBArray | Tensor) -> Floats:
        try:
            return forward(crops)
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            if len(crops) == 1:
                raise CentersError(
                    "the memory is too small for one image; type a smaller backbone, or backbone.device=cpu"
                ) from error
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        half = len(crops) // 2
        log.warning("out of memory with a batch of %d images; trying %d", len(crops), half)
        return np.concatenate([forward_in_halves(crops[:half]), forward_in_halves(crops[half:])])

    return forward_in_halves


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error)
    return (
        isinstance(error, MemoryError | torch.OutOfMemoryError) or "out of memory" in text or "allocate memory" in text
    )


def pad_batches(forward: Forward, size: int) -> Forward:
    """`forward`, called with batches of exactly `size` images: longer ones are cut, short ones padded with zeros."""

    def forward_padded(crops: RGBArray) -> Floats:
        results = []
        for start in range(0, len(crops), size):
            part = crops[start : start + size]
            padding = [(0, size - len(part)), *[(0, 0)] * (part.ndim - 1)]
            results.append(forward(np.pad(part, padding) if len(part) < size else part)[: len(part)])
        return np.concatenate(results)

    return forward_padded
