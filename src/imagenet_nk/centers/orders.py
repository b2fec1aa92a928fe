"""What a worker is told and what it answers. Nothing here imports torch: a worker that lacks it is to say so itself."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imagenet_nk.config import BackboneConfig, CentersConfig
from imagenet_nk.engine.base import Line
from imagenet_nk.errors import BackboneError, CentersError

if TYPE_CHECKING:
    from imagenet_nk.centers.worker import Worker


@dataclass(frozen=True)
class Order:
    """One backbone, as all workers are to build it."""

    backbone: BackboneConfig
    centers: CentersConfig
    seed: int  # of random weights
    key: Mapping[str, str | int]  # what an embedding depends on beside the image: must come out as in the driver


@dataclass(frozen=True)
class Shard:
    """A slice of the list, for one or several backbones."""

    orders: tuple[Order, ...]
    paths: tuple[Path, ...]  # absolute
    threads: int | None  # of the worker; None = as many as it has cores
    classes: NDArray[np.int64] | None = None  # (n,) of the images, where only sums are wanted


@dataclass(frozen=True)
class Share:
    """The embeddings of a shard, those of several backbones side by side."""

    host: str
    rows: NDArray[np.int64]  # (m,) of the shard
    embeddings: NDArray[np.float32]  # (m, sum of D)
    faults: tuple[tuple[int, str], ...]  # row of the shard and reason


@dataclass(frozen=True)
class Sums:
    """The sums of a shard, a row for each of the P classes that it has images of."""

    host: str
    classes: NDArray[np.int64]  # (P,)
    mean: dict[str, NDArray[Any]]  # attributes of Mean and of Spread, as arrays: torch would send its by shared memory
    spread: dict[str, NDArray[Any]]
    faults: tuple[tuple[int, str], ...]


def embed(shard: Shard, line: Line) -> Share:  # noqa: ARG001
    """Task of an engine."""
    return worker(shard.orders, shard.paths, shard.threads).embed(shard)


def sum_up(shard: Shard, line: Line) -> Sums:  # noqa: ARG001
    """Task of an engine."""
    return worker(shard.orders, shard.paths, shard.threads).sum_up(shard)


_latest: list[tuple[tuple[Order, ...], Worker]] = []  # of this process: a model is built once, not for each shard


def worker(
    told: tuple[Order, ...], paths: Sequence[Path], threads: int | None = None, device: str | None = None
) -> Worker:
    """The backbones as ordered, built; see Worker. Raises BackboneError, with the host's name."""
    if not _latest or _latest[0][0] != told:
        _latest.clear()
        logging.getLogger("imagenet_nk").addHandler(logging.NullHandler())  # else Python prints warnings by itself
        try:
            from imagenet_nk.centers.worker import Worker

            _latest.append((told, Worker(told, paths, threads, device)))
        except ImportError as error:
            raise BackboneError(
                f"{socket.gethostname()} lacks {error.name}: install imagenet-nk there as it is here"
            ) from error
        except (BackboneError, CentersError) as error:
            raise BackboneError(f"on {socket.gethostname()}: {error}") from error
    return _latest[0][1]


def cut(rows: Sequence[int], workers: int, most: int) -> list[Sequence[int]]:
    """Slices for so many workers: enough of them that all end together, none longer than `most`."""
    size = max(1, min(most, -(-len(rows) // (4 * workers))))
    return [rows[first : first + size] for first in range(0, len(rows), size)]
