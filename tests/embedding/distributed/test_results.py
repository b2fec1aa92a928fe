"""Results of workers as batches of the driver."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imagenet_nk.embedding.distributed.results import join_batches, to_batch, to_skipped
from imagenet_nk.errors import CentersError
from imagenet_nk.preprocessing.types import EmbeddingBatch, SkippedImage

NOT_FOUND = "FileNotFoundError: [Errno 2] No such file"


def test_a_shard_comes_back_under_the_rows_of_the_driver():
    paths = [Path(f"{n}.jpg") for n in range(8)]
    skipped = (SkippedImage(1, paths[6], "OSError: bad sector"),)
    empty = EmbeddingBatch(np.empty(0, np.int64), np.empty((0, 0), np.float32), skipped)
    result = join_batches([EmbeddingBatch(np.array([0, 2]), np.ones((2, 3), np.float32), ()), empty])
    batch = to_batch(result, range(5, 8), paths)
    assert batch.rows.tolist() == [5, 7]
    assert batch.embeddings.shape == (2, 3)
    assert [(image.row, image.path) for image in batch.skipped] == [(6, paths[6])]


def test_a_file_that_only_the_worker_lacks_is_an_error(entries):
    with pytest.raises(CentersError, match=r"node7 has no file .*: dataset.dir must lie on a file system that all"):
        to_skipped([(1, NOT_FOUND)], "node7", [3, 4], [path for path, _ in entries])


def test_a_file_that_the_driver_lacks_too_is_skipped():
    assert [image.row for image in to_skipped([(0, NOT_FOUND)], "node7", [0], [Path("gone.jpg")])] == [0]
