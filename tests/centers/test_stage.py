"""The stage centers, end to end on small images."""

from __future__ import annotations

import dataclasses
import json
import logging

import numpy as np
import pytest

import imagenet_nk
from imagenet_nk.config import CentersConfig
from imagenet_nk.embedding.run import EmbeddingConfig
from imagenet_nk.errors import CentersError
from small_models import class_means, compute, embed_one_at_a_time, label_map, run_centers


@pytest.mark.parametrize(("batch", "workers"), [(1, 0), (7, 1), (64, 2), (4, 3)])
def test_centers_equal_numpys_mean_of_single_embeddings(entries, tiny, tmp_path, batch, workers):
    config = dataclasses.replace(tiny, batch_size=batch, threads=workers)
    compute(entries, label_map(5), EmbeddingConfig(config), tmp_path)
    made = imagenet_nk.load_centers(tmp_path)
    wanted = class_means(embed_one_at_a_time(entries), [label for _, label in entries])
    error = np.linalg.norm(made.centers - wanted, axis=1) / np.linalg.norm(wanted, axis=1)
    assert error.max() < 1e-6
    assert made.counts.tolist() == [2, 3, 4, 3, 2]
    assert made.labels.tolist() == [0, 1, 2, 3, 4]
    assert made.wnids == label_map(5).wnids
    assert made.metadata["list_sha256"] == "sha"


def test_unreadable_image_is_skipped_logged_and_in_no_mean(entries, tiny, tmp_path, caplog):
    whole = entries[0][0].read_bytes()
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(whole[: len(whole) // 2])
    with caplog.at_level(logging.WARNING):
        made = compute([*entries, (broken, 0)], label_map(5), EmbeddingConfig(tiny), tmp_path)
    assert made.counts.tolist() == [2, 3, 4, 3, 2]
    assert str(broken) in caplog.text
    without = compute(entries, label_map(5), EmbeddingConfig(tiny), tmp_path / "again")
    np.testing.assert_allclose(made.centers, without.centers, rtol=1e-5)


def test_classes_without_images_are_logged_and_the_others_get_centers(entries, tiny, tmp_path, caplog):
    made = compute(entries, label_map(7), EmbeddingConfig(tiny), tmp_path)
    assert made.labels.tolist() == [0, 1, 2, 3, 4]
    assert json.loads(made.metadata["empty_wnids"]) == ["n00000005", "n00000006"]
    assert "n00000005" in caplog.text


def test_list_of_unreadable_images_is_an_error(tmp_path, tiny):
    (tmp_path / "a.jpg").write_bytes(b"<html>")
    with pytest.raises(CentersError, match="no image of the list could be read"):
        compute([(tmp_path / "a.jpg", 0)], label_map(1), EmbeddingConfig(tiny), tmp_path)


def test_all_statistics_equal_numpy(entries, tiny, tmp_path):
    made = compute(entries, label_map(5), EmbeddingConfig(tiny), tmp_path)
    x, labels = embed_one_at_a_time(entries), np.array([label for _, label in entries])
    means = class_means(x, labels)
    deviations = x - means[labels]
    spread = [np.sqrt((deviations[labels == k] ** 2).sum(1).mean()) for k in range(5)]
    np.testing.assert_allclose(made.spread, spread, rtol=1e-5)
    nearest = [np.flatnonzero(labels == k)[(deviations[labels == k] ** 2).sum(1).argmin()] for k in (1, 2, 3)]
    assert [json.loads(made.metadata["medoids"])[k] for k in (1, 2, 3)] == [str(entries[row][0]) for row in nearest]
    centred = x - x.mean(0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    again = imagenet_nk.load_centers(tmp_path)
    assert sorted(again.extras) == ["cl2n", "cl2n_origin"]
    np.testing.assert_allclose(again.extras["cl2n"], class_means(unit, labels), atol=1e-5)


def test_a_second_run_embeds_nothing_and_a_longer_list_only_the_new_images(entries, tiny, tmp_path):
    setting = EmbeddingConfig(tiny, cache=tmp_path / "cache")
    embedded = []
    for part in (entries[:10], entries[:10], entries):
        computed = run_centers(part, label_map(5), setting, tmp_path / str(len(embedded)))
        embedded.append(computed.embeddings.embedded)
    assert embedded == [10, 0, len(entries) - 10]
    without_cache = compute(entries, label_map(5), EmbeddingConfig(tiny), tmp_path / "without")
    np.testing.assert_allclose(computed.centers.centers, without_cache.centers, rtol=1e-4, atol=1e-6)


def test_without_a_cache_the_file_is_the_same_and_no_embedding_stays(entries, tiny, tmp_path):
    never = EmbeddingConfig(tiny, CentersConfig(cache_embeddings="never"))
    compute(entries, label_map(5), never, tmp_path / "never")
    compute(entries, label_map(5), EmbeddingConfig(tiny), tmp_path / "cached")
    ours, theirs = (imagenet_nk.load_centers(tmp_path / name) for name in ("never", "cached"))
    np.testing.assert_allclose(ours.centers, theirs.centers, rtol=1e-5, atol=1e-7)
    assert ours.extras.keys() == theirs.extras.keys()
    assert sorted(path.name for path in (tmp_path / "never").iterdir()) == ["centers.safetensors", "cost.json"]
