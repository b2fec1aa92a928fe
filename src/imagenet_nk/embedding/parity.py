"""Whether a quicker path gives the embeddings of the reference: timm's pixels, float32, PyTorch as it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imagenet_nk.preprocessing.transforms import UNREADABLE, Preprocessor
from imagenet_nk.preprocessing.types import Forward
from imagenet_nk.storage import files

SAMPLE = 8  # images of the list that go both ways
TOLERANCE = 0.9995  # least cosine between the two embeddings of an image; of their means it is nearer to 1


def measure(
    images: Sequence[Path], path: tuple[Forward, Preprocessor], reference: tuple[Forward, Preprocessor]
) -> dict[str, float] | None:
    """Cosines between both embeddings of a sample spread over the list; None if none of it can be read."""
    data = [image.read_bytes() for image in images[:: max(1, len(images) // SAMPLE)][:SAMPLE] if files.is_file(image)]
    both = [pair for each in data if (pair := _crops(each, path[1], reference[1]))]
    if not both:
        return None
    ours, theirs = (
        forward(crops.batch(side))
        for (forward, crops), side in zip((path, reference), zip(*both, strict=True), strict=True)
    )
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    cosines = (ours * theirs).sum(axis=1) / np.maximum(lengths, np.finfo(np.float32).tiny)
    return {
        "images": len(both),
        "cosine_min": float(cosines.min()),
        "cosine_mean": float(cosines.mean()),
        "tolerance": TOLERANCE,
    }


def _crops(data: bytes, ours: Preprocessor, theirs: Preprocessor) -> tuple[Any, Any] | None:
    try:
        return ours(data), theirs(data)
    except UNREADABLE:
        return None
