"""cost.json."""

from __future__ import annotations

import json

from imagenet_nk.embedding.run import EmbeddingConfig
from small_models import compute, label_map


def test_speed_is_null_if_every_embedding_was_cached(entries, tiny, tmp_path):
    costs = []
    for _ in range(2):
        compute(entries, label_map(5), EmbeddingConfig(tiny), tmp_path)
        costs.append(json.loads((tmp_path / "cost.json").read_text()))
    first, second = costs
    assert first["images_per_s"] > 0
    assert second == {**first, "images_per_s": None}
    assert (first["backbone"], first["device"]) == (tiny.name, "cpu")
