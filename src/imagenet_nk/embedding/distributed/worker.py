"""A worker's side of a pass: the models of a driver, built here, run over shards of its list."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imagenet_nk.backbones.model import build
from imagenet_nk.embedding import loader
from imagenet_nk.embedding.distributed.results import joined
from imagenet_nk.embedding.embedder import Embedder
from imagenet_nk.embedding.messages import BackboneSpec, Shard, ShardEmbeddings, Sums
from imagenet_nk.embedding.multi_backbone import side_by_side
from imagenet_nk.engine.cpu_count import cores
from imagenet_nk.errors import BackboneError
from imagenet_nk.preprocessing.types import EmbeddingBatch
from imagenet_nk.statistics.streaming import Mean, Spread
from imagenet_nk.storage import files

ON_GPU = 8  # threads that decode for a GPU, where nobody says how many


class Worker:
    """Backbones that share their crops, ready to run."""

    def __init__(
        self,
        orders: Sequence[BackboneSpec],
        paths: Sequence[Path],
        threads: int | None = None,
        device: str | None = None,
    ) -> None:
        """`paths`: some images to check a quicker path with. Raises BackboneError where it is not what was ordered."""
        self.embedders = [_built(order, paths, threads, device) for order in orders]

    def slices(self, paths: Sequence[Path], rows: Sequence[int]) -> Iterator[EmbeddingBatch]:
        """The embeddings of some rows of the list, those of all backbones side by side."""
        first = self.embedders[0]
        forward = side_by_side(self.embedders, paths)

        with files.reader([paths[row] for row in rows]) as read:

            def load(path: Path) -> Any:
                return first.crops(read(path))

            yield from loader.run(paths, rows, load, forward, gather=first.crops.batch, **first.width)

    def embed(self, shard: Shard) -> ShardEmbeddings:
        """The embeddings of a shard."""
        return joined(list(self.slices(shard.paths, range(len(shard.paths)))), range(len(shard.paths)))

    def sum_up(self, shard: Shard) -> Sums:
        """Sums of a shard, for one backbone. Raises CentersError for an embedding that is not finite."""
        assert shard.classes is not None  # noqa: S101
        embedder, faults = self.embedders[0], list[tuple[int, str]]()
        classes, places = np.unique(shard.classes, return_inverse=True)
        mean, spread = Mean(len(classes), embedder.built.dim), Spread(len(classes), embedder.built.dim)
        for part in self.slices(shard.paths, range(len(shard.paths))):
            whole = embedder.finite(part, shard.paths)
            faults += [(fault.row, fault.reason) for fault in whole.faults]
            if len(whole.rows):
                x_BD, classes_B = torch.from_numpy(whole.embeddings), torch.from_numpy(places[whole.rows])
                mean.add(x_BD, classes_B)
                spread.add(x_BD, classes_B)
        return Sums(socket.gethostname(), classes, _arrays(mean), _arrays(spread), tuple(faults))


def _arrays(statistic: Mean | Spread) -> dict[str, NDArray[Any]]:
    return {name: value.numpy() for name, value in vars(statistic).items()}


def _built(order: BackboneSpec, paths: Sequence[Path], threads: int | None, device: str | None) -> Embedder:
    config = replace(order.backbone, device=device or order.backbone.device)
    embedder = Embedder(build(config, order.seed), config, order.centers, Path())
    if config.threads is None:
        embedder.lanes = threads or (cores() if embedder.on_cpu else max(ON_GPU, cores()))
    if embedder.built.sha256 != order.key["weights_sha256"]:
        raise BackboneError(
            f"the weights of {config.name} here ({embedder.built.weights}) are not those of the driver; give all nodes "
            "the same file (backbone.checkpoint) and the same versions of timm and torch"
        )
    embedder.ready(paths)
    if embedder.key != order.key:
        raise BackboneError(
            f"{config.name} gives other embeddings here than in the driver: type backbone.runtime=eager "
            "backbone.dtype=float32 backbone.preprocess=timm, and give all nodes the same versions of timm and torch"
        )
    return embedder
