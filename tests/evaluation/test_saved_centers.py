"""Saved centers: the stage and the function give the same."""

from __future__ import annotations

import dataclasses

import pytest

import imagenet_nk
from imagenet_nk.embedding.run import EmbeddingConfig
from imagenet_nk.errors import CentersError
from small_models import compute, evaluate, label_map


def test_stage_and_function_give_the_same_accuracy(entries, tiny, tmp_path):
    made = compute(entries[::2], label_map(5), EmbeddingConfig(tiny, seed=3), tmp_path)
    wanted = evaluate(entries[::2], label_map(5), EmbeddingConfig(tiny, seed=3), tmp_path, held_out=entries[1::2])
    metrics = imagenet_nk.evaluate(tmp_path, entries[1::2], cache=tmp_path)
    assert metrics["images"] == len(entries[1::2])
    for name in ("euclidean", "cosine", "cl2n"):
        assert metrics["ncm"][name]["top1"]["value"] == wanted["ncm"][name]["top1"]["value"]
    other = dataclasses.replace(made, metadata={**made.metadata, "weights_sha256": "0" * 64})
    with pytest.raises(CentersError, match="not those that made the centers"):
        imagenet_nk.evaluate(other, entries)
