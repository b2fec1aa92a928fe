"""Images in, embeddings out: threads that share the cores between decoding and the model.

On a CPU each thread decodes a batch and then runs the model on it, single-threaded: no core waits for another, nothing
is copied between processes, and the weights are shared. On an accelerator the threads decode, and others run the model.
Batches are cut from the list and come back in its order, so the number of threads changes no result.
"""

from __future__ import annotations

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
from imagenet_nk.preprocessing.types import (
    Collate,
    EmbeddingBatch,
    Forward,
    Preprocess,
    SkippedImage,
    describe_error,
)


def embed_batches(
    paths: Sequence[Path],
    preprocess: Preprocess,
    forward: Forward,
    *,
    batch_size: int,
    threads: int,
    runners: int,
    collate: Collate = np.stack,
) -> Iterator[EmbeddingBatch]:
    """Embed images, batch by batch in their order; rows are places in `paths`.

    threads: 0 to do everything in the calling thread. runners: threads that run the model; 0 on a CPU, where the
    decoding threads do it.
    """

    def decode(rows: Sequence[int]) -> _Decoded:
        return _decode(paths, rows, preprocess)

    def run_model(decoded: _Decoded) -> EmbeddingBatch:
        return _run_model(decoded, paths, forward, collate)

    chunks = [range(first, min(first + batch_size, len(paths))) for first in range(0, len(paths), batch_size)]
    if threads == 0:
        for chunk in chunks:
            yield run_model(decode(chunk))
        return
    with single_threaded(runners == 0), _thread_pool(threads) as decoders, _thread_pool(runners or 1) as model_threads:

        def submit(rows: Sequence[int]) -> Future[EmbeddingBatch]:
            if not runners:
                return decoders.submit(lambda: run_model(decode(rows)))
            decoded = decoders.submit(decode, rows)
            return model_threads.submit(lambda: run_model(decoded.result()))

        pending: deque[Future[EmbeddingBatch]] = deque()
        for chunk in chunks:
            pending.append(submit(chunk))
            if len(pending) > 2 * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


@dataclass(frozen=True)
class _Decoded:
    rows: list[int]
    items: list[Any]
    skipped: list[SkippedImage]

    def without(self, reasons: Mapping[int, str], paths: Sequence[Path]) -> _Decoded:
        """The batch without the images at some places, which are skipped for these reasons."""
        skipped = [SkippedImage(self.rows[place], paths[self.rows[place]], reason) for place, reason in reasons.items()]
        rest = [place for place in range(len(self.rows)) if place not in reasons]
        return _Decoded([self.rows[n] for n in rest], [self.items[n] for n in rest], [*self.skipped, *skipped])


def _decode(paths: Sequence[Path], rows: Sequence[int], preprocess: Preprocess) -> _Decoded:
    result = _Decoded([], [], [])
    for row in rows:
        try:
            result.items.append(preprocess(paths[row]))
            result.rows.append(row)
        except UNREADABLE as error:
            result.skipped.append(SkippedImage(row, paths[row], describe_error(error)))
    return result


def _run_model(decoded: _Decoded, paths: Sequence[Path], forward: Forward, collate: Collate) -> EmbeddingBatch:
    if not decoded.rows:
        return EmbeddingBatch(np.empty(0, np.int64), np.empty((0, 0), np.float32), tuple(decoded.skipped))
    try:
        batch = collate(decoded.items)
    except UndecodableError as error:
        return _run_model(decoded.without(error.reasons, paths), paths, forward, collate)
    return EmbeddingBatch(np.array(decoded.rows, dtype=np.int64), forward(batch), tuple(decoded.skipped))


@contextmanager
def _thread_pool(size: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that drop what has not started when the block is left early, by an error or Ctrl-C."""
    pool = ThreadPoolExecutor(size, thread_name_prefix="embed")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
