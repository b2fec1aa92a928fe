"""The pass: images in, embeddings out, with decoding and the model sharing the cores.

On a CPU a lane is one core that decodes a slice of the list and then runs the model on it, single-threaded: no core
waits for another, nothing is copied between processes, and the weights are shared. On an accelerator the lanes decode,
and one more thread a device runs the model. Slices are cut from the list and come back in its order, so the number of
lanes moves no result.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imagenet_nk.backbones.devices import single_threaded
from imagenet_nk.preprocessing.transforms import UNREADABLE, UndecodableError
from imagenet_nk.preprocessing.types import Collate, EmbeddingBatch, Forward, Preprocess, SkippedImage, fault

log = logging.getLogger(__name__)


def run(
    paths: Sequence[Path],
    rows: Sequence[int],
    load: Preprocess,
    forward: Forward,
    *,
    batch: int,
    lanes: int,
    devices: int,
    gather: Collate = np.stack,
) -> Iterator[EmbeddingBatch]:
    """Embed the given rows of `paths`, slice by slice in the order of `rows`.

    devices: 0 for a CPU, where each lane runs the model itself; else the number of threads that run it.
    """
    cuts = [rows[first : first + batch] for first in range(0, len(rows), batch)]
    if lanes == 0:
        for cut in cuts:
            yield _embedded(_decoded(paths, cut, load), paths, forward, gather)
        return
    with single_threaded(devices == 0), _pool(lanes) as decoders, _pool(devices or 1) as runners:

        def start(cut: Sequence[int]) -> Future[EmbeddingBatch]:
            if not devices:
                return decoders.submit(lambda: _embedded(_decoded(paths, cut, load), paths, forward, gather))
            decoded = decoders.submit(_decoded, paths, cut, load)
            return runners.submit(lambda: _embedded(decoded.result(), paths, forward, gather))

        waiting: deque[Future[EmbeddingBatch]] = deque()
        for cut in cuts:
            waiting.append(start(cut))
            if len(waiting) > 2 * lanes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@dataclass(frozen=True)
class _Decoded:
    rows: list[int]
    items: list[Any]
    faults: list[SkippedImage]

    def without(self, reasons: Mapping[int, str], paths: Sequence[Path]) -> _Decoded:
        """The rest, when some places of the batch have turned out to be faults."""
        faults = [SkippedImage(self.rows[place], paths[self.rows[place]], reason) for place, reason in reasons.items()]
        left = [place for place in range(len(self.rows)) if place not in reasons]
        return _Decoded([self.rows[n] for n in left], [self.items[n] for n in left], [*self.faults, *faults])


def _decoded(paths: Sequence[Path], rows: Sequence[int], load: Preprocess) -> _Decoded:
    result = _Decoded([], [], [])
    for row in rows:
        try:
            result.items.append(load(paths[row]))
            result.rows.append(row)
        except UNREADABLE as error:
            result.faults.append(SkippedImage(row, paths[row], fault(error)))
    return result


def _embedded(decoded: _Decoded, paths: Sequence[Path], forward: Forward, gather: Collate) -> EmbeddingBatch:
    if not decoded.rows:
        return EmbeddingBatch(np.empty(0, np.int64), np.empty((0, 0), np.float32), tuple(decoded.faults))
    try:
        batch = gather(decoded.items)
    except UndecodableError as error:
        return _embedded(decoded.without(error.reasons, paths), paths, forward, gather)
    return EmbeddingBatch(np.array(decoded.rows, dtype=np.int64), forward(batch), tuple(decoded.faults))


@contextmanager
def _pool(size: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that drop what has not begun when the block is left early, by an error or Ctrl-C."""
    pool = ThreadPoolExecutor(size, thread_name_prefix="lane")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
