"""Batches of a list through threads: order, skipped images, errors."""

from __future__ import annotations

import numpy as np
import pytest

from imagenet_nk.embedding.loader import embed_batches
from imagenet_nk.errors import CentersError


@pytest.mark.parametrize(("threads", "runners"), [(0, 0), (1, 0), (3, 0), (1, 1), (3, 1), (3, 3)])
def test_batches_come_in_the_order_of_the_list_for_any_number_of_threads(threads, runners, tmp_path):
    paths = [tmp_path / str(index) for index in range(23)]

    def preprocess(path):
        if path.name == "7":
            raise OSError("bad sector")
        return np.full((1, 1, 3), int(path.name), np.uint8)

    def forward(crops):
        return crops[:, 0, 0, :1].astype(np.float32)

    batches = list(embed_batches(paths, preprocess, forward, batch_size=4, threads=threads, runners=runners))
    rows = np.concatenate([batch.rows for batch in batches])
    assert rows.tolist() == [row for row in range(23) if row != 7]
    assert np.concatenate([batch.embeddings for batch in batches])[:, 0].tolist() == rows.tolist()
    assert [(image.row, image.reason) for batch in batches for image in batch.skipped] == [(7, "OSError: bad sector")]


def test_an_error_in_a_thread_ends_the_pass(tmp_path):
    def forward(_):
        raise CentersError("broken")

    paths = [tmp_path / str(index) for index in range(50)]
    with pytest.raises(CentersError, match="broken"):
        list(embed_batches(paths, lambda _: np.zeros((1, 1, 3)), forward, batch_size=2, threads=2, runners=0))
