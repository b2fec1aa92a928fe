"""Parity check: whether a faster path gives the embeddings of the reference (timm's pixels, float32, plain PyTorch)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imagenet_nk.preprocessing.transforms import UNREADABLE, Preprocessor
from imagenet_nk.preprocessing.types import Forward
from imagenet_nk.storage import files

N_IMAGES = 8  # images of the list that are embedded both ways
MIN_COSINE = 0.9995  # between the two embeddings of an image; that of their means is closer to 1


def compare_embeddings(
    images: Sequence[Path], path: tuple[Forward, Preprocessor], reference: tuple[Forward, Preprocessor]
) -> dict[str, float] | None:
    """Cosines between both embeddings of a sample spread over the list; None if none of it can be read."""
    step = max(1, len(images) // N_IMAGES)
    data = [image.read_bytes() for image in images[::step][:N_IMAGES] if files.is_file(image)]
    both = [pair for each in data if (pair := _preprocess_both(each, path[1], reference[1]))]
    if not both:
        return None
    ours, theirs = (
        forward(preprocessor.batch(items))
        for (forward, preprocessor), items in zip((path, reference), zip(*both, strict=True), strict=True)
    )
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    cosines = (ours * theirs).sum(axis=1) / np.maximum(lengths, np.finfo(np.float32).tiny)
    return {
        "images": len(both),
        "cosine_min": float(cosines.min()),
        "cosine_mean": float(cosines.mean()),
        "tolerance": MIN_COSINE,
    }


def _preprocess_both(data: bytes, ours: Preprocessor, theirs: Preprocessor) -> tuple[Any, Any] | None:
    try:
        return ours(data), theirs(data)
    except UNREADABLE:
        return None
