"""centers.safetensors: the centers of a run and what belongs to them, written and read."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from imagenet_nk.errors import CentersError
from imagenet_nk.storage import files

if TYPE_CHECKING:
    from imagenet_nk.centers.classifier import NearestClassMean

NAME = "centers.safetensors"
VERSION = "1"
COLUMNS = ("centers", "counts", "labels", "spread")


@dataclass(frozen=True)
class Centers:
    """Class centers, one row for each class that has images, sorted by label. K classes, D the embedding size."""

    centers: NDArray[np.float32]  # (K, D)
    counts: NDArray[np.int64]  # (K,) images behind each center
    labels: NDArray[np.int64]  # (K,)
    spread: NDArray[np.float32]  # (K,) root mean square distance of a class's embeddings to its center
    wnids: tuple[str, ...]
    names: tuple[str, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)  # backbone, weights_sha256, transform, list_sha256, ...
    extras: Mapping[str, NDArray[Any]] = field(default_factory=dict)  # cl2n, cl2n_origin: see docs/centers.md

    def __len__(self) -> int:
        """K."""
        return len(self.labels)

    def as_classifier(self, distance: str = "euclidean", scale: float = 1.0) -> NearestClassMean:
        """A torch module that plugs behind the backbone: (B, D) embeddings to (B, K) logits, in the order of `labels`.

        distance: euclidean, cosine or cl2n; the largest logit is that of the nearest center. Raises CentersError for
        cl2n where the file has no such means.
        """
        from imagenet_nk.centers.classifier import (
            NearestClassMean,  # imports torch, which reading centers does not need
        )

        if distance != "cl2n":
            return NearestClassMean(self.centers, distance, scale)
        if not self.has_cl2n:
            raise CentersError(
                "these centers have no means for cl2n; run the stage centers again, or take distance='cosine'"
            )
        return NearestClassMean(self.extras["cl2n"], distance, scale, self.extras["cl2n_origin"])

    @property
    def has_cl2n(self) -> bool:
        """Whether there is what SimpleShot's CL2N needs: its means, and the origin of its space."""
        return {"cl2n", "cl2n_origin"} <= set(self.extras)

    def to_npz(self, path: str | Path) -> None:
        """Everything as a compressed NumPy archive; metadata is a JSON text in the entry `metadata`."""
        entries: dict[str, Any] = {name: getattr(self, name) for name in COLUMNS} | dict(self.extras)
        entries |= {"wnids": np.array(self.wnids), "names": np.array(self.names)}
        entries["metadata"] = np.array(json.dumps(dict(self.metadata)))
        with Path(path).open("wb") as file:
            np.savez_compressed(file, **entries)

    def to_csv(self, path: str | Path) -> None:
        """A row a class: label, wnid, name, count, spread, then the D values; float32 in full."""
        with Path(path).open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(
                ["label", "wnid", "name", "count", "spread", *(f"c{d}" for d in range(self.centers.shape[1]))]
            )
            columns = (self.labels.tolist(), self.wnids, self.names, self.counts.tolist(), map(str, self.spread))
            for row, *first in zip(self.centers, *columns, strict=True):
                rows.writerow([*first, *map(str, row)])

    def save(self, path: Path) -> None:
        """Write the file, complete or not at all."""
        tensors = {name: getattr(self, name) for name in COLUMNS} | dict(self.extras)
        texts = {"wnids": json.dumps(self.wnids), "names": json.dumps(self.names), "format_version": VERSION}
        texts["tensors_sha256"] = _digest(tensors)
        files.write_bytes(path, _sort_metadata(safetensors.numpy.save(tensors, {**self.metadata, **texts})))


def _digest(tensors: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 of the bytes of all tensors, sorted by name: the format itself has no checksum."""
    digest = sha256()
    for _, values in sorted(tensors.items()):
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def _sort_metadata(data: bytes) -> bytes:
    """The same safetensors file with sorted metadata: the library writes it in another order every time."""
    start = 8 + int.from_bytes(data[:8], "little")  # the header's length, then the header, a JSON object
    header = json.loads(data[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors are aligned
    return len(text).to_bytes(8, "little") + text + data[start:]


def load_centers(path: str | Path) -> Centers:
    """Read a centers.safetensors, or the one in an output folder. Raises CentersError."""
    path = Path(path)
    path = path / NAME if path.is_dir() else path
    if not path.is_file():
        raise CentersError(f"{path} does not exist; run the stage centers, or give the output folder of a run")
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
        written = metadata.pop("tensors_sha256", None)  # None: by an earlier version
        damaged = written is not None and _digest(tensors) != written
        wnids, names = json.loads(metadata.pop("wnids")), json.loads(metadata.pop("names"))
        columns = {name: tensors.pop(name) for name in COLUMNS}
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise CentersError(f"{path} is not a centers file of this program ({error})") from error
    if damaged:
        raise CentersError(f"{path} is damaged: its tensors do not match their checksum; run the stage centers again")
    return Centers(**columns, wnids=tuple(wnids), names=tuple(names), metadata=metadata, extras=tensors)
