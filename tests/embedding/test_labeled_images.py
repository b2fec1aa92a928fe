"""Images of a list with their embeddings; checks of a list."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imagenet_nk.embedding.embed import embed_images
from imagenet_nk.embedding.labeled_images import LabeledImages, check
from imagenet_nk.embedding.run import EmbeddingConfig, make_runs
from imagenet_nk.errors import ListError
from small_models import label_map


def test_batches_leave_out_other_classes_and_images_without_embedding(entries, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("imagenet_nk.embedding.labeled_images.BATCH_SIZE", 4)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"<html>")
    listed = [entries[5], (broken, 2), *entries[:5]]
    (embeddings,) = embed_images(make_runs(EmbeddingConfig(tiny), tmp_path), [path for path, _ in listed])
    batches = list(LabeledImages(listed, {0: 0, 2: 1}, embeddings).batches())
    assert np.concatenate([rows for _, _, rows in batches]).tolist() == [0, 2, 3]
    assert np.concatenate([classes for _, classes, _ in batches]).tolist() == [1, 0, 0]
    assert {x.shape[1] for x, _, _ in batches} == {embeddings.plan.backbone.dim}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "has no entry"),
        ([(Path("gone/a.jpg"), 0), (Path("gone/b.jpg"), 1)], "none of the 2 files"),
        ([(Path("gone/a.jpg"), 9)], "outside the label map"),
    ],
)
def test_list_that_no_center_can_come_from_is_one_line(entries, message):
    with pytest.raises(ListError, match=message) as raised:
        check(entries, label_map(5))
    assert "\n" not in str(raised.value)
