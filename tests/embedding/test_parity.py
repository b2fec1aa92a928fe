"""The comparison of a faster path with the reference."""

from __future__ import annotations

import numpy as np
import pytest

from imagenet_nk.embedding.parity import N_IMAGES, compare_embeddings
from imagenet_nk.preprocessing.transforms import TimmPreprocessor
from small_models import DATA


def mean_colors(crops):
    return crops.mean((1, 2)).astype(np.float32)


@pytest.mark.parametrize(("scale", "cosine"), [(1.0, 1.0), (-1.0, -1.0), (np.nan, np.nan)])
def test_cosine_of_a_sample_is_measured(scale, cosine, entries):
    preprocessor, images = TimmPreprocessor(DATA), [path for path, _ in entries]
    parity = compare_embeddings(
        images, (lambda crops: scale * mean_colors(crops), preprocessor), (mean_colors, preprocessor)
    )
    assert parity["images"] == N_IMAGES
    assert parity["cosine_min"] == pytest.approx(cosine, nan_ok=True)


def test_nothing_is_measured_on_unreadable_images(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"<html>")
    path = mean_colors, TimmPreprocessor(DATA)
    assert compare_embeddings([tmp_path / "a.jpg", tmp_path / "missing.jpg"], path, path) is None
