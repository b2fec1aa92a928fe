"""The stages `centers` and `evaluate`."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray

from imagenet_nk import __version__
from imagenet_nk.centers import devices, evaluation, lanes, runtimes
from imagenet_nk.centers.backbone import Backbone, build
from imagenet_nk.centers.file import NAME, Centers
from imagenet_nk.centers.lanes import Fault, Floats
from imagenet_nk.centers.pixels import Exact
from imagenet_nk.centers.statistics import Mean, Spread
from imagenet_nk.config import BackboneConfig
from imagenet_nk.errors import CentersError, ListError

log = logging.getLogger(__name__)

Entries = Sequence[tuple[Path, int]]
METRICS = "metrics.json"


class Classes(Protocol):
    """What the stages need of a label map: three aligned columns."""

    @property
    def wnids(self) -> Sequence[str]: ...
    @property
    def labels(self) -> Sequence[int]: ...
    @property
    def names(self) -> Sequence[str]: ...


def compute(
    entries: Entries,
    label_map: Classes,
    backbone: BackboneConfig,
    output: Path,
    list_sha256: str,
    *,
    held_out: Entries = (),
    seed: int = 0,
) -> Centers:
    """Embed the images of a list and write the centers of its classes to output/centers.safetensors.

    Images of `held_out` are embedded in the same pass for `evaluate` and enter no center. Unreadable images are
    skipped, named and counted. Raises ListError, BackboneError, CentersError.
    """
    check(entries, label_map)
    check(held_out, label_map, may_be_empty=True)
    built = build(backbone, seed)
    both = [*entries, *held_out]
    embeddings, faults = embed([path for path, _ in both], built, backbone)
    good = np.isin(np.arange(len(both)), [fault.row for fault in faults], invert=True)
    in_center = np.arange(len(both)) < len(entries)
    labels = np.array([label for _, label in both], dtype=np.int64)
    centers = _centers(embeddings[good & in_center], labels[good & in_center], label_map, _metadata(built, list_sha256))
    centers.save(output / NAME)
    _keep(output, embeddings[good], labels[good], in_center[good])
    return centers


def check(entries: Entries, label_map: Classes, *, may_be_empty: bool = False) -> None:
    """Raise ListError for a list without entries, with labels that the map lacks, or whose files have all gone."""
    if not entries and not may_be_empty:
        raise ListError("the list has no entry; run the stages collect and lists first")
    known = set(label_map.labels)
    for path, label in entries:
        if label not in known:
            raise ListError(
                f"label {label} of {path} is outside the label map ({min(known)}..{max(known)}); "
                "give the labels= that the list was written with"
            )
    if entries and not any(path.is_file() for path, _ in entries):
        raise ListError(
            f"none of the {len(entries)} files of the list is there (first: {entries[0][0]}); collect them again"
        )


def embed(paths: Sequence[Path], built: Backbone, config: BackboneConfig) -> tuple[Floats, list[Fault]]:
    """(N, D) float32, and the images that have no embedding (their rows are zeros)."""
    device = devices.choose(config.device)
    forward = runtimes.eager(built, device)
    count = lanes.cores() if config.workers is None else config.workers
    result, faults = np.zeros((len(paths), built.dim), np.float32), list[Fault]()
    started = time.perf_counter()
    for part in lanes.run(
        paths,
        range(len(paths)),
        Exact(built.data),
        forward,
        batch=config.batch_size,
        lanes=count,
        devices=int(device.type != "cpu"),
    ):
        result[part.rows] = part.embeddings if len(part.rows) else 0
        _finite(part, paths)
        for fault in part.faults:
            log.warning("skipped %s: %s", fault.path, fault.reason)
        faults.extend(part.faults)
    seconds = time.perf_counter() - started
    log.info(
        "%s: %d images, %d unreadable, %.1f s, %.1f images/s on %s",
        built.name, len(paths), len(faults), seconds, len(paths) / seconds, device,
    )  # fmt: skip
    return result, faults


def _finite(part: lanes.Slice, paths: Sequence[Path]) -> None:
    broken = ~np.isfinite(part.embeddings).all(axis=1)
    if broken.any():
        row = part.rows[broken.argmax()]
        raise CentersError(
            f"the embedding of {paths[row]} is not finite; another backbone, or leave the image out of the list"
        )


def _centers(embeddings: Floats, labels: NDArray[np.int64], label_map: Classes, metadata: dict[str, str]) -> Centers:
    rows = {label: row for row, label in enumerate(sorted(set(labels.tolist())))}
    if not rows:
        raise CentersError("no image of the list could be read: there is no center to make")
    classes = torch.tensor([rows[label] for label in labels.tolist()])
    mean, spread = Mean(len(rows), embeddings.shape[1]), Spread(len(rows), embeddings.shape[1])
    for part in torch.arange(len(classes)).split(1024):
        batch = torch.from_numpy(embeddings[part])
        mean.add(batch, classes[part])
        spread.add(batch, classes[part])
    known = dict(zip(label_map.labels, zip(label_map.wnids, label_map.names, strict=True), strict=True))
    empty = [known[label][0] for label in sorted(known) if label not in rows]
    if empty:
        log.warning(
            "%d classes have no image and no center: %s",
            len(empty),
            ", ".join(empty[:5]) + (", ..." if len(empty) > 5 else ""),
        )
    return Centers(
        mean.result().float().numpy(),
        mean.counts_K.numpy(),
        np.array(list(rows), dtype=np.int64),
        spread.result().float().numpy(),
        tuple(known[label][0] for label in rows),
        tuple(known[label][1] for label in rows),
        {**metadata, "empty_wnids": json.dumps(empty)},
    )


def _metadata(built: Backbone, list_sha256: str) -> dict[str, str]:
    return {
        "backbone": built.name,
        "weights": built.weights,
        "weights_sha256": built.sha256,
        "transform": Exact(built.data).identity,
        "list_sha256": list_sha256,
        "version": __version__,
        "torch": torch.__version__,
    }


def _keep(output: Path, embeddings: Floats, labels: NDArray[np.int64], in_center: NDArray[np.bool_]) -> None:
    tensors: dict[str, NDArray[Any]] = {"embeddings": embeddings, "labels": labels, "in_center": in_center}
    partial = output / "embeddings.safetensors.partial"
    safetensors.numpy.save_file(tensors, partial)
    partial.replace(output / "embeddings.safetensors")


def evaluate(output: Path) -> dict[str, Any]:
    """Judge the centers of an output folder with the embeddings kept beside them; writes output/metrics.json.

    On the held-out images if there are any, else leave-one-out.
    """
    kept = safetensors.numpy.load_file(output / "embeddings.safetensors")
    labels, in_center = kept["labels"], kept["in_center"]
    rows = {label: row for row, label in enumerate(sorted(set(labels[in_center].tolist())))}
    classes = torch.tensor([rows.get(label, -1) for label in labels.tolist()])
    x = torch.from_numpy(kept["embeddings"])
    mean = Mean(len(rows), x.shape[1])
    mean.add(x[in_center], classes[in_center])
    held_out = not in_center.all()
    judged = (classes >= 0) & (torch.from_numpy(~in_center) if held_out else mean.counts_K[classes] >= 2)
    metrics = {
        "protocol": "held-out" if held_out else "leave-one-out",
        "images": int(judged.sum()),
        "not_judged": int((~in_center).sum() if held_out else in_center.sum()) - int(judged.sum()),
        "classes": len(rows),
        "ncm": {
            name: _figures(x[judged], classes[judged], mean, distance, held_out)
            for name, distance in (("euclidean", evaluation.euclidean), ("cosine", evaluation.cosine))
        },
    }
    partial = output / (METRICS + ".partial")
    partial.write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    partial.replace(output / METRICS)
    return metrics


def _figures(
    x: torch.Tensor, classes: torch.Tensor, mean: Mean, distance: evaluation.Distance, held_out: bool
) -> dict[str, float | None]:
    judged = evaluation.judge(x, classes, mean.result(), distance, None if held_out else mean.counts_K)
    top5 = judged.top(evaluation.TOP) if len(mean.counts_K) > evaluation.TOP else None
    return {"top1": judged.top(1) if len(classes) else None, "top5": top5 if len(classes) else None}
