"""Workers for a pass besides this process: who they are, and what the driver does with their answers."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from imagenet_nk.centers import orders
from imagenet_nk.centers.lanes import Fault, Slice
from imagenet_nk.centers.orders import Order, Shard, Share, Sums
from imagenet_nk.centers.statistics import Mean, Spread
from imagenet_nk.engine.base import Engine, Task
from imagenet_nk.errors import CentersError
from imagenet_nk.machine import cores

ON_CPU, ON_GPU = 256, 2048  # images of a shard at most: what a lost worker costs; a GPU idles between two of them


class Crew(Protocol):
    """Workers. The driver decides how a model is run if they have such a device as it has itself."""

    threads: int  # of each on a CPU

    def device(self, wanted: str) -> str:
        """The driver's own device for a backbone.device."""

    def decides(self, wanted: str) -> bool:
        """Whether each worker finds out by itself what runs a model best: its device is of another kind than here."""

    def embed(self, told: Sequence[Order], paths: Sequence[Path], rows: Sequence[int]) -> Iterator[Slice]:
        """The embeddings of some rows of the list, several backbones side by side, slice by slice as they come in."""

    def sum_up(
        self, told: Order, paths: Sequence[Path], classes_N: NDArray[np.int64], mean: Mean, spread: Spread
    ) -> Iterator[tuple[int, list[Fault]]]:
        """Add all images of the list to the sums; yields how many more are done, and those that could not be."""


class EngineCrew:
    """The workers of an engine, each with a shard of the list at a time."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.threads = max(cores() // engine.workers(0), 1) if engine.here else 1

    def __str__(self) -> str:
        return f"engine={self.engine.name}"

    def device(self, wanted: str) -> str:
        return wanted if self.engine.here else "cpu"

    def decides(self, wanted: str) -> bool:
        return not self.engine.here and self._gpus(wanted) > 0

    def embed(self, told: Sequence[Order], paths: Sequence[Path], rows: Sequence[int]) -> Iterator[Slice]:
        slices, shards = self._cut(told, paths, rows)
        for number, share in self._map(orders.embed, told, shards):
            yield placed(share, slices[number], paths)

    def sum_up(
        self, told: Order, paths: Sequence[Path], classes_N: NDArray[np.int64], mean: Mean, spread: Spread
    ) -> Iterator[tuple[int, list[Fault]]]:
        slices, shards = self._cut([told], paths, range(len(paths)), classes_N)
        waiting: dict[int, Sums] = {}
        following = 0
        for number, sums in self._map(orders.sum_up, [told], shards):
            waiting[number] = sums
            while (sums_of_next := waiting.pop(following, None)) is not None:  # in the order of the list
                add(sums_of_next, mean, spread)
                rows = slices[following]
                yield len(rows), named(sums_of_next.faults, sums_of_next.host, rows, paths)
                following += 1

    def _cut(
        self,
        told: Sequence[Order],
        paths: Sequence[Path],
        rows: Sequence[int],
        classes_N: NDArray[np.int64] | None = None,
    ) -> tuple[list[Sequence[int]], list[Shard]]:
        most = ON_GPU if self._gpus(told[0].backbone.device) else ON_CPU
        slices = orders.cut(rows, self.engine.workers(len(rows)), most)
        threads = self.threads if self.engine.here else None
        return slices, [
            Shard(
                tuple(told),
                tuple(paths[row].absolute() for row in part),
                threads,
                None if classes_N is None else classes_N[list(part)],
            )
            for part in slices
        ]

    def _map(self, task: Task, told: Sequence[Order], shards: Sequence[Shard]) -> Iterator[tuple[int, Any]]:
        images = sum(len(shard.paths) for shard in shards)
        gpus = self._gpus(told[0].backbone.device)
        return self.engine.map(task, shards, workers=self.engine.workers(images), gpus=gpus)

    def _gpus(self, wanted: str) -> int:
        """GPUs that a worker needs for itself."""
        if self.engine.here:
            return 0
        return int(wanted.startswith("cuda") or (wanted == "auto" and self.engine.gpus() > 0))


def placed(share: Share, rows: Sequence[int], paths: Sequence[Path]) -> Slice:
    """An answer as rows of the list."""
    there = np.array([rows[row] for row in share.rows.tolist()], np.int64)
    embeddings = np.require(share.embeddings, requirements="W")  # what Ray has in its memory cannot be written to
    return Slice(there, embeddings, tuple(named(share.faults, share.host, rows, paths)))


def add(sums: Sums, mean: Mean, spread: Spread) -> None:
    """Add the sums of a shard to those of the list."""
    classes_P = torch.tensor(sums.classes)
    for ours, arrays in ((mean, sums.mean), (spread, sums.spread)):
        theirs = copy.copy(ours)
        vars(theirs).update({name: torch.tensor(array) for name, array in arrays.items()})
        ours.merge(theirs, classes_P)  # type: ignore[arg-type]


def named(faults: Sequence[tuple[int, str]], host: str, rows: Sequence[int], paths: Sequence[Path]) -> list[Fault]:
    """Faults by rows of the list. Raises CentersError for a file that is there, but not for that host."""
    found = [Fault(rows[row], paths[rows[row]], reason) for row, reason in faults]
    for fault in found:
        if fault.reason.startswith(FileNotFoundError.__name__) and fault.path.is_file():
            raise CentersError(
                f"{host} has no file {fault.path.absolute()}: dataset.dir must lie on a file system that all nodes "
                "share, under the same path"
            )
    return found


def in_order(parts: Iterable[Slice], rows: Sequence[int]) -> Iterator[Slice]:
    """The slices in the order of the rows of which they are made up."""
    waiting: dict[int, Slice] = {}
    place = 0
    for part in parts:
        waiting[min([*part.rows.tolist()[:1], *(fault.row for fault in part.faults)])] = part
        while place < len(rows) and (following := waiting.pop(rows[place], None)) is not None:
            yield following
            place += len(following.rows) + len(following.faults)
