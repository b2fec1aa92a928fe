"""Embeddings as the stages read them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from imagenet_nk.config import Dtype, NonFinite
from imagenet_nk.embedding.embed import embed_images
from imagenet_nk.embedding.embeddings import NOT_FINITE, drop_nonfinite
from imagenet_nk.embedding.run import EmbeddingConfig, make_runs
from imagenet_nk.errors import CentersError
from imagenet_nk.preprocessing.types import EmbeddingBatch, SkippedImage

IMAGES = [Path(f"{n}.jpg") for n in range(4)]


@pytest.mark.parametrize("keep", ["auto", "never"])
def test_embeddings_are_readable_after_their_files_are_deleted(keep, entries, tiny, tmp_path):
    setting = EmbeddingConfig(tiny)
    setting.centers.cache_embeddings = keep
    images = [path for path, _ in entries]
    (embeddings,) = embed_images(make_runs(setting, tmp_path / "out"), images)
    before = embeddings.read(embeddings.find(images))
    shutil.rmtree(tmp_path / "out")
    np.testing.assert_array_equal(embeddings.read(embeddings.find(images)), before)
    assert embeddings.find([tmp_path / "other.jpg"]).tolist() == [-1]


@pytest.fixture
def batch():
    values = np.array([[1, 2], [np.nan, 1], [0, np.inf]], np.float32)
    return EmbeddingBatch(np.array([0, 2, 3]), values, (SkippedImage(1, IMAGES[1], "unreadable"),))


def test_nonfinite_embeddings_become_skipped_images(batch):
    finite = drop_nonfinite(batch, IMAGES, NonFinite["skip"], Dtype.float32)
    assert finite.rows.tolist() == [0]
    assert finite.embeddings.tolist() == [[1, 2]]
    assert [(image.row, image.reason) for image in finite.skipped[1:]] == [(2, NOT_FINITE), (3, NOT_FINITE)]


@pytest.mark.parametrize(("dtype", "end"), [(Dtype.float32, "out$"), (Dtype.float16, "or backbone.dtype=float32$")])
def test_nonfinite_embedding_raises_by_default_and_names_the_image(dtype, end, batch):
    with pytest.raises(CentersError, match=rf"2\.jpg is not finite.*{end}"):
        drop_nonfinite(batch, IMAGES, NonFinite["raise"], dtype)
