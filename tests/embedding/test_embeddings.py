"""Embeddings of a list: cached, resumed, shared by several backbones, finite."""

from __future__ import annotations

import collections
import dataclasses
import shutil

import numpy as np
import pytest
import torch

from embedding.executor_conformance import SAME_CROPS
from imagenet_nk.backbones import model, runtimes
from imagenet_nk.centers.stage import compute_all
from imagenet_nk.config import CentersConfig
from imagenet_nk.embedding.embeddings import embed_images
from imagenet_nk.embedding.run import EmbeddingConfig, make_runs
from imagenet_nk.errors import CentersError
from imagenet_nk.evaluation.stage import evaluate_all
from imagenet_nk.preprocessing import transforms
from small_models import compute, label_map, run_centers

CPU = torch.device("cpu")


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


def test_an_interrupted_run_continues_where_it_stopped(entries, tiny, tmp_path):
    setting = EmbeddingConfig(dataclasses.replace(tiny, batch_size=2, threads=0), cache=tmp_path / "cache")

    def stop(done, _):
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compute(entries, label_map(5), setting, tmp_path / "a", progress=stop)
    assert not (tmp_path / "a" / "centers.safetensors").exists()
    resumed = run_centers(entries, label_map(5), setting, tmp_path / "a")
    assert resumed.embeddings.embedded == len(entries) - 6
    uninterrupted = compute(entries, label_map(5), EmbeddingConfig(tiny), tmp_path / "b")
    np.testing.assert_allclose(resumed.centers.centers, uninterrupted.centers, rtol=1e-4, atol=1e-6)


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


def with_runtime(run, forward, dim):
    """The run with this in place of the model."""
    backbone = dataclasses.replace(run.plan.backbone, dim=dim)
    plan = dataclasses.replace(run.plan, runtime=runtimes.Runtime("poisoned", forward), backbone=backbone)
    return dataclasses.replace(run, plan=plan)


def half_nan(crops):
    """NaN for every second image."""
    embeddings = np.ones((len(crops), 4), np.float32)
    embeddings[1::2] = np.nan
    return embeddings


@pytest.mark.parametrize("choice", ["raise", "skip"])
def test_an_embedding_that_is_not_finite_stops_the_run_or_is_skipped(choice, entries, tiny, tmp_path):
    setting = EmbeddingConfig(dataclasses.replace(tiny, threads=0), CentersConfig(on_nonfinite=choice))
    run = with_runtime(make_runs(setting, tmp_path)[0], half_nan, 4)
    if choice == "raise":
        with pytest.raises(CentersError, match=r"1\.jpg is not finite"):
            compute(entries, label_map(5), setting, tmp_path, run=run)
    else:
        centers = compute(entries, label_map(5), setting, tmp_path, run=run)
        assert centers.counts.sum() == len(entries) - len(entries) // 2
        assert centers.metadata["skipped"] == str(len(entries) // 2)


def test_when_no_embedding_is_finite_the_error_says_so(entries, tiny, tmp_path):
    setting = EmbeddingConfig(dataclasses.replace(tiny, threads=0), CentersConfig(on_nonfinite="skip"))
    run = with_runtime(make_runs(setting, tmp_path)[0], lambda crops: np.full((len(crops), 4), np.nan, "f4"), 4)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"<html>")
    message = r"the embeddings of 13 images are not finite, and 1 could not be read \(first: "
    with pytest.raises(CentersError, match=message):
        compute([*entries[:13], (broken, 0)], label_map(5), setting, tmp_path, run=run)


def test_deleting_the_cache_leaves_embeddings_readable(entries, tiny, tmp_path):
    images = [path for path, _ in entries]
    (embeddings,) = embed_images(make_runs(EmbeddingConfig(tiny), tmp_path / "out"), images)
    before = embeddings.read(embeddings.find(images))
    shutil.rmtree(tmp_path / "out")
    np.testing.assert_array_equal(embeddings.read(embeddings.find(images)), before)


def test_replicas_on_several_devices_give_the_same(tiny):
    built = model.build(tiny)
    x = np.random.default_rng(0).integers(0, 256, (3, *built.input_size, 3), dtype=np.uint8)
    both = runtimes.replicate(built, [CPU, CPU], tiny.dtype, torch.contiguous_format)
    alone = runtimes.eager(built, CPU)
    for _ in range(5):
        np.testing.assert_allclose(both(x), alone(x), rtol=1e-5, atol=1e-6)


@pytest.mark.real
def test_all_statistics_on_real_photographs_over_batches_and_workers(shared, tiny, tmp_path):
    folders = sorted((shared / "data" / "tiny-imagenet").iterdir())[:8]
    entries = [(path, label) for label, folder in enumerate(folders) for path in sorted(folder.iterdir())[:6]]
    settings = CentersConfig(normalized=True, prototypes=2, covariance=True)
    made = []
    for batch, workers in ((1, 0), (7, 1), (64, 3)):
        config = dataclasses.replace(tiny, img_size=64, batch_size=batch, threads=workers)
        made.append(compute(entries, label_map(8), EmbeddingConfig(config, settings), tmp_path / str(batch)))
    for other in made[1:]:
        for name in ("centers", "spread"):
            np.testing.assert_allclose(getattr(other, name), getattr(made[0], name), rtol=1e-4, atol=1e-6)
        for name, values in made[0].extras.items():
            np.testing.assert_allclose(other.extras[name], values, rtol=1e-3, atol=1e-5, err_msg=name)
        assert other.metadata["medoids"] == made[0].metadata["medoids"]
