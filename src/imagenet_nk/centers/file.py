"""centers.safetensors: what a run knows about its classes, and how a reader gets it back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from imagenet_nk.errors import CentersError

NAME = "centers.safetensors"
VERSION = "1"
COLUMNS = ("centers", "counts", "labels", "spread")


@dataclass(frozen=True)
class Centers:
    """Class centers, one row a class that has images, sorted by label. K classes, D the embedding's size."""

    centers: NDArray[np.float32]  # (K, D)
    counts: NDArray[np.int64]  # (K,) images behind each center
    labels: NDArray[np.int64]  # (K,)
    spread: NDArray[np.float32]  # (K,) root mean square distance of a class's embeddings to its center
    wnids: tuple[str, ...]
    names: tuple[str, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)  # backbone, weights_sha256, transform, list_sha256, ...
    extras: Mapping[str, NDArray[Any]] = field(default_factory=dict)  # covariance, prototypes, ...: see docs/centers.md

    def save(self, path: Path) -> None:
        """Write the file under a temporary name and rename it when it is whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {name: getattr(self, name) for name in COLUMNS} | dict(self.extras)
        words = {"wnids": json.dumps(self.wnids), "names": json.dumps(self.names), "format_version": VERSION}
        partial = path.with_name(path.name + ".partial")
        safetensors.numpy.save_file(tensors, partial, {**self.metadata, **words})
        partial.replace(path)


def load_centers(path: str | Path) -> Centers:
    """Read a centers.safetensors, or the one in an output folder. Raises CentersError."""
    path = Path(path)
    path = path / NAME if path.is_dir() else path
    if not path.is_file():
        raise CentersError(f"there is no file {path}; run the stage centers, or give the output folder of a run")
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
        wnids, names = json.loads(metadata.pop("wnids")), json.loads(metadata.pop("names"))
        columns = {name: tensors.pop(name) for name in COLUMNS}
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise CentersError(f"{path} is no centers file of this program ({error})") from error
    return Centers(**columns, wnids=tuple(wnids), names=tuple(names), metadata=metadata, extras=tensors)
