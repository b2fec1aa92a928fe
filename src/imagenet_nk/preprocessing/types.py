"""Types that preprocessing and embedding share."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagenet_nk.wording import one_line

_ADDRESS = re.compile(r" <[\w.]+ object at 0x[0-9a-f]+>")


Floats = NDArray[np.float32]


Preprocess = Callable[[Path], Any]  # one image to what `Collate` takes; raises UNREADABLE; holds the GIL little


Collate = Callable[[Sequence[Any]], Any]  # the images of a batch to (B, H, W, 3); raises UndecodableError


Forward = Callable[[Any], Floats]  # (B, H, W, 3) to (B, D), array or tensor; safe to call from several threads


@dataclass(frozen=True)
class SkippedImage:
    """An image that has no embedding."""

    row: int  # in the list
    path: Path
    reason: str  # one line


@dataclass(frozen=True)
class EmbeddingBatch:
    """The embeddings of some rows of a list, in its order."""

    rows: NDArray[np.int64]  # (n,) rows that have an embedding
    embeddings: Floats  # (n, D)
    skipped: tuple[SkippedImage, ...]


def describe_error(error: Exception) -> str:
    """Why an image cannot be read, in one line that is the same in each run: without Pillow's addresses of objects."""
    text = _ADDRESS.sub("", one_line(error))
    return f"{type(error).__name__}: {text[:160]}"
