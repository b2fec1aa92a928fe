"""Embedding a list: several backbones share a pass, unreadable and cached images."""

from __future__ import annotations

import collections
import dataclasses

import numpy as np
import pytest

from embedding.executor_conformance import SAME_CROPS
from imagenet_nk.backbones import runtimes
from imagenet_nk.centers.stage import compute_all
from imagenet_nk.config import CentersConfig
from imagenet_nk.embedding.embed import embed_images
from imagenet_nk.embedding.run import EmbeddingConfig, make_runs
from imagenet_nk.errors import CentersError
from imagenet_nk.evaluation.stage import evaluate_all
from imagenet_nk.preprocessing import transforms
from small_models import compute, label_map


@pytest.fixture
def decoded(monkeypatch):
    """Counts the images that were decoded."""
    counted = collections.Counter()
    real = transforms.TimmPreprocessor.__call__

    def counting(self, data):
        counted["decoded"] += 1
        return real(self, data)

    monkeypatch.setattr(transforms.TimmPreprocessor, "__call__", counting)
    return counted


def test_several_backbones_share_one_decoding(entries, tiny, tmp_path, decoded):
    names = ["test_resnet", "test_efficientnet", "test_vit"]
    runs = make_runs(EmbeddingConfig(dataclasses.replace(tiny, models=names), cache=tmp_path / "cache"), tmp_path)
    together = compute_all(runs, entries, label_map(5), "sha")
    sizes = {run.plan.preprocessor.resize_key for run in runs}
    assert decoded["decoded"] == len(entries) * len(sizes) < 3 * len(entries)
    for name, computed in zip(names, together, strict=True):
        alone = EmbeddingConfig(dataclasses.replace(tiny, name=name))
        expected = compute(entries, label_map(5), alone, tmp_path / "alone" / name)
        np.testing.assert_allclose(computed.centers.centers, expected.centers, rtol=1e-5, atol=1e-7)
        assert computed.centers.metadata["backbone"] == name
    metrics = evaluate_all(together, entries, label_map(5))
    assert [each["backbone"] for each in metrics] == names
    assert all((tmp_path / name / "metrics.json").is_file() for name in names)


@pytest.mark.parametrize("keep", ["auto", "never"])
def test_an_image_that_several_backbones_cannot_read_is_skipped_for_each(keep, entries, tiny, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff nothing more")
    config = dataclasses.replace(tiny, models=["test_resnet", "test_efficientnet"])
    runs = make_runs(EmbeddingConfig(config, CentersConfig(cache_embeddings=keep)), tmp_path)
    for computed in compute_all(runs, [*entries, (broken, 1)], label_map(5), "sha"):
        assert computed.centers.counts.tolist() == [2, 3, 4, 3, 2]
        assert computed.centers.metadata["skipped"] == "1"


def test_a_backbone_whose_embeddings_are_cached_is_not_run_with_the_others(entries, tiny, tmp_path, decoded):
    images = [path for path, _ in entries]
    alone, both = (dataclasses.replace(tiny, name=n, models=m) for n, m in ((SAME_CROPS[0], []), ("", SAME_CROPS)))
    embed_images(make_runs(EmbeddingConfig(alone, cache=tmp_path), tmp_path), images)
    decoded.clear()
    first, second = embed_images(make_runs(EmbeddingConfig(both, cache=tmp_path), tmp_path), images)
    assert (first.embedded, second.embedded) == (0, len(images))
    assert decoded["decoded"] == len(images)


def test_when_no_embedding_is_finite_the_error_says_so(entries, tiny, tmp_path):
    setting = EmbeddingConfig(dataclasses.replace(tiny, threads=0), CentersConfig(on_nonfinite="skip"))
    (run,) = make_runs(setting, tmp_path)
    nan = runtimes.Runtime("nan", lambda crops: np.full((len(crops), run.plan.backbone.dim), np.nan, "f4"))
    run = dataclasses.replace(run, plan=dataclasses.replace(run.plan, runtime=nan))
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"<html>")
    message = r"the embeddings of 13 images are not finite, and 1 could not be read \(first: "
    with pytest.raises(CentersError, match=message):
        compute([*entries[:13], (broken, 0)], label_map(5), setting, tmp_path, run=run)
