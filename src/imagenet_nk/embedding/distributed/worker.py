"""A worker's side of a pass: the models of a driver, built here, run over shards of its list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from imagenet_nk.backbones.model import build
from imagenet_nk.embedding import loader
from imagenet_nk.embedding.distributed.results import joined
from imagenet_nk.embedding.embedder import Embedder
from imagenet_nk.embedding.messages import BackboneSpec, Shard, ShardEmbeddings
from imagenet_nk.embedding.multi_backbone import side_by_side
from imagenet_nk.engine.cpu_count import cores
from imagenet_nk.errors import BackboneError
from imagenet_nk.preprocessing.types import EmbeddingBatch
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
