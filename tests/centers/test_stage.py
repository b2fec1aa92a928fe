"""The stages centers and evaluate, end to end on small images."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config

import imagenet_nk
from imagenet_nk.backbones import runtimes
from imagenet_nk.centers import stage
from imagenet_nk.centers.stage import EmbeddingConfig
from imagenet_nk.config import CentersConfig, EvaluateConfig
from imagenet_nk.errors import CentersError, ConfigError, ListError
from imagenet_nk.evaluation import stage as evaluation_stage
from imagenet_nk.lists import list_file
from small_models import TINY, label_map


def one_at_a_time(entries, name=TINY, seed=0):
    """(N, D) float64 embeddings, made the plain way: timm's model and transform, one image a forward pass."""
    torch.manual_seed(seed)
    model = timm.create_model(name, num_classes=0).eval()
    transform = create_transform(**resolve_model_data_config(model))
    with torch.inference_mode():
        rows = [model(transform(Image.open(path).convert("RGB"))[None])[0].double().numpy() for path, _ in entries]
    return np.stack(rows)


def class_means(embeddings, labels):
    labels = np.asarray(labels)
    return np.stack([embeddings[labels == label].mean(axis=0) for label in np.unique(labels)])


@pytest.mark.parametrize(("batch", "workers"), [(1, 0), (7, 1), (64, 2), (4, 3)])
def test_centers_are_numpys_mean_of_single_embeddings(entries, tiny, tmp_path, batch, workers):
    config = dataclasses.replace(tiny, batch_size=batch, threads=workers)
    stage.compute(entries, label_map(5), EmbeddingConfig(config), tmp_path, "sha")
    made = imagenet_nk.load_centers(tmp_path)
    wanted = class_means(one_at_a_time(entries), [label for _, label in entries])
    error = np.linalg.norm(made.centers - wanted, axis=1) / np.linalg.norm(wanted, axis=1)
    assert error.max() < 1e-6
    assert made.counts.tolist() == [2, 3, 4, 3, 2]
    assert made.labels.tolist() == [0, 1, 2, 3, 4]
    assert made.wnids == label_map(5).wnids
    assert made.metadata["list_sha256"] == "sha"


def test_an_unreadable_image_is_skipped_and_named_and_in_no_mean(entries, tiny, tmp_path, caplog):
    whole = entries[0][0].read_bytes()
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(whole[: len(whole) // 2])
    with caplog.at_level(logging.WARNING):
        made = stage.compute([*entries, (broken, 0)], label_map(5), EmbeddingConfig(tiny), tmp_path, "sha")
    assert made.counts.tolist() == [2, 3, 4, 3, 2]
    assert str(broken) in caplog.text
    without = stage.compute(entries, label_map(5), EmbeddingConfig(tiny), tmp_path / "again", "sha")
    np.testing.assert_allclose(made.centers, without.centers, rtol=1e-5)


def test_classes_without_images_are_named_and_the_others_get_centers(entries, tiny, tmp_path, caplog):
    made = stage.compute(entries, label_map(7), EmbeddingConfig(tiny), tmp_path, "sha")
    assert made.labels.tolist() == [0, 1, 2, 3, 4]
    assert json.loads(made.metadata["empty_wnids"]) == ["n00000005", "n00000006"]
    assert "n00000005" in caplog.text


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ([], "has no entry"),
        ([(Path("gone/a.jpg"), 0), (Path("gone/b.jpg"), 1)], "none of the 2 files"),
        ([(Path("gone/a.jpg"), 9)], "outside the label map"),
    ],
)
def test_a_list_that_no_center_can_come_from_is_one_line(bad, said, tiny, tmp_path):
    with pytest.raises(ListError, match=said) as raised:
        stage.compute(bad, label_map(5), EmbeddingConfig(tiny), tmp_path, "sha")
    assert "\n" not in str(raised.value)


def test_when_no_image_can_be_read_there_is_no_center(tmp_path, tiny):
    (tmp_path / "a.jpg").write_bytes(b"<html>")
    with pytest.raises(CentersError, match="no image of the list could be read"):
        stage.compute([(tmp_path / "a.jpg", 0)], label_map(1), EmbeddingConfig(tiny), tmp_path, "sha")


def test_leave_one_out_accuracy_is_that_of_a_plain_loop(entries, tiny, tmp_path):
    stage.compute(entries, label_map(5), EmbeddingConfig(tiny), tmp_path, "sha")
    metrics = evaluation_stage.evaluate(entries, label_map(5), EmbeddingConfig(tiny), tmp_path)
    x, labels = one_at_a_time(entries), np.array([label for _, label in entries])
    hits = {"euclidean": 0, "cosine": 0}
    for i in range(len(x)):
        rest = np.arange(len(x)) != i
        means = class_means(x[rest], labels[rest])
        hits["euclidean"] += np.linalg.norm(means - x[i], axis=1).argmin() == labels[i]
        hits["cosine"] += (means @ x[i] / np.linalg.norm(means, axis=1)).argmax() == labels[i]
    for name, count in hits.items():
        assert metrics["ncm"][name]["top1"]["value"] == pytest.approx(count / len(x))
    assert metrics["protocol"] == "leave-one-out"
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics


@pytest.mark.parametrize(
    ("kept", "held_out", "why"),
    [
        ([0, 2, 5], [], "every class has a single image"),
        ([0, 1], [], "there is one class"),
        ([0, 2, 5], ["broken"], "no held-out image can be read"),
    ],
)
def test_what_cannot_be_judged_is_said_with_the_reason(entries, tiny, tmp_path, caplog, kept, held_out, why):
    listed = [entries[index] for index in kept]
    other = tmp_path / "other.txt"
    other.write_bytes(b"no image")
    held_out = [(other, 0) for _ in held_out]
    with caplog.at_level(logging.INFO):
        evaluation_stage.evaluate(listed, label_map(5), EmbeddingConfig(tiny), tmp_path, held_out=held_out)
    assert f"nearest class mean, nothing to judge: {why}" in caplog.text


def test_with_a_held_out_list_its_images_are_judged_and_make_no_center(entries, tiny, tmp_path):
    held_out = entries[::3]
    train = [entry for entry in entries if entry not in held_out]
    setting = EmbeddingConfig(tiny)
    made = stage.compute(train, label_map(5), setting, tmp_path, "sha")
    metrics = evaluation_stage.evaluate(train, label_map(5), setting, tmp_path, held_out=held_out)
    wanted = class_means(one_at_a_time(train), [label for _, label in train])
    np.testing.assert_allclose(made.centers, wanted, rtol=1e-3, atol=1e-5)
    x, labels = one_at_a_time(held_out), [label for _, label in held_out]
    nearest = [np.linalg.norm(wanted - row, axis=1).argmin() for row in x]
    assert metrics["protocol"] == "held-out"
    assert metrics["images"] == len(held_out)
    assert metrics["ncm"]["euclidean"]["top1"]["value"] == pytest.approx(np.mean(np.equal(nearest, labels)))


def test_another_list_is_judged_when_it_is_named(entries, tiny, tmp_path):
    list_file.write_list(tmp_path / "other.txt", [list_file.Entry(str(path), label) for path, label in entries[1::2]])
    setting, named = EmbeddingConfig(tiny), EvaluateConfig(list=str(tmp_path / "other.txt"))
    by_name = evaluation_stage.evaluate(entries[::2], label_map(5), setting, tmp_path, settings=named)
    given = evaluation_stage.evaluate(entries[::2], label_map(5), setting, tmp_path, held_out=entries[1::2])
    assert by_name == given
    assert by_name["images"] == len(entries[1::2])


def test_all_statistics_are_those_of_numpy(entries, tiny, tmp_path):
    settings = CentersConfig(normalized=True, prototypes=2, covariance=True)
    made = stage.compute(entries, label_map(5), EmbeddingConfig(tiny, settings), tmp_path, "sha")
    x, labels = one_at_a_time(entries), np.array([label for _, label in entries])
    means = class_means(x, labels)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(made.extras["normalized"], class_means(unit, labels), atol=1e-6)
    deviations = x - means[labels]
    covariance = deviations.T @ deviations / (len(x) - 5)
    np.testing.assert_allclose(made.extras["covariance"], covariance, atol=1e-6 * np.abs(covariance).max())
    spread = [np.sqrt((deviations[labels == k] ** 2).sum(1).mean()) for k in range(5)]
    np.testing.assert_allclose(made.spread, spread, rtol=1e-5)
    nearest = [np.flatnonzero(labels == k)[(deviations[labels == k] ** 2).sum(1).argmin()] for k in (1, 2, 3)]
    assert [json.loads(made.metadata["medoids"])[k] for k in (1, 2, 3)] == [str(entries[row][0]) for row in nearest]
    assert made.extras["prototype_counts"].sum(axis=1).tolist() == [2, 3, 4, 3, 2]
    again = imagenet_nk.load_centers(tmp_path)
    always, asked = ["cl2n", "cl2n_origin"], ["covariance", "normalized"]
    assert sorted(again.extras) == [*always, *asked, "prototype_counts", "prototypes"]


def test_a_second_run_makes_no_forward_pass_and_a_longer_list_only_the_new_ones(entries, tiny, tmp_path):
    setting = EmbeddingConfig(tiny, cache=tmp_path / "cache")
    counted = []
    for part in (entries[:10], entries[:10], entries):
        embedder = setting.embedder(tmp_path)
        made = stage.compute(part, label_map(5), setting, tmp_path / str(len(counted)), "sha", embedder=embedder)
        evaluation_stage.evaluate(part, label_map(5), setting, tmp_path, embedder=embedder)
        counted.append(embedder.embedded)
    assert counted == [10, 0, len(entries) - 10]
    afresh = stage.compute(entries, label_map(5), EmbeddingConfig(tiny), tmp_path / "afresh", "sha")
    np.testing.assert_allclose(made.centers, afresh.centers, rtol=1e-4, atol=1e-6)


def test_without_kept_embeddings_the_centers_are_the_same(entries, tiny, tmp_path):
    never = EmbeddingConfig(tiny, CentersConfig(cache_embeddings="never"))
    made = stage.compute(entries, label_map(5), never, tmp_path / "never", "sha")
    kept = stage.compute(entries, label_map(5), EmbeddingConfig(tiny), tmp_path / "kept", "sha")
    np.testing.assert_allclose(made.centers, kept.centers, rtol=1e-5, atol=1e-7)
    assert not list((tmp_path / "never").rglob("*.f32"))
    refused = EmbeddingConfig(tiny, CentersConfig(cache_embeddings="never", covariance=True))
    with pytest.raises(ConfigError, match="embeddings=always"):
        stage.compute(entries, label_map(5), refused, tmp_path, "sha")


def test_several_seeds_give_mean_and_deviation(entries, tiny, tmp_path):
    metrics = evaluation_stage.evaluate(
        entries, label_map(5), EmbeddingConfig(tiny), tmp_path, settings=EvaluateConfig(random_splits=3)
    )
    divided = metrics["random_splits"]
    assert divided["seeds"] == [0, 1, 2]
    values = divided["cosine"]["values"]
    assert divided["cosine"]["mean"] == pytest.approx(np.mean(values))
    assert divided["cosine"]["std"] == pytest.approx(np.std(values, ddof=1))


class Poisoned:
    """A backbone's model that gives NaN for every second image."""

    def __call__(self, x):
        out = torch.ones(len(x), 4)
        out[1::2] = torch.nan
        return out


def test_an_embedding_that_is_not_finite_stops_the_run_or_is_skipped(entries, tiny, tmp_path):
    config = dataclasses.replace(tiny, threads=0)
    for choice in ("raise", "skip"):
        setting = EmbeddingConfig(config, CentersConfig(on_nonfinite=choice))
        embedder = setting.embedder(tmp_path / choice)
        poisoned = runtimes.Runtime("poisoned", lambda crops: Poisoned()(crops).numpy())
        embedder._chosen = poisoned
        embedder.built = dataclasses.replace(embedder.built, dim=4)
        if choice == "raise":
            with pytest.raises(CentersError, match=r"1\.jpg is not finite"):
                stage.compute(entries, label_map(5), setting, tmp_path / choice, "sha", embedder=embedder)
        else:
            made = stage.compute(entries, label_map(5), setting, tmp_path / choice, "sha", embedder=embedder)
            assert made.counts.sum() == len(entries) - len(entries) // 2
            assert made.metadata["skipped"] == str(len(entries) // 2)


def test_when_no_embedding_is_finite_that_is_what_is_said(entries, tiny, tmp_path):
    setting = EmbeddingConfig(dataclasses.replace(tiny, threads=0), CentersConfig(on_nonfinite="skip"))
    embedder = setting.embedder(tmp_path)
    embedder._chosen = runtimes.Runtime(
        "poisoned", lambda crops: np.full((len(crops), embedder.built.dim), np.nan, "f4")
    )
    said = r"the embeddings of 13 images are not finite, and 1 could not be read \(first: "
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"<html>")
    with pytest.raises(CentersError, match=said):
        stage.compute([*entries[:13], (broken, 0)], label_map(5), setting, tmp_path, "sha", embedder=embedder)


class Hungry(torch.nn.Module):
    """A backbone's model that runs out of memory with more than two images."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        if len(x) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return self.model(x)


def test_a_model_that_runs_out_of_memory_gives_the_same_centers_from_smaller_batches(entries, tiny, tmp_path, caplog):
    setting = EmbeddingConfig(dataclasses.replace(tiny, batch_size=7))
    embedder = setting.embedder(tmp_path)
    embedder.built = dataclasses.replace(embedder.built, model=Hungry(embedder.built.model))
    made = stage.compute(entries, label_map(5), setting, tmp_path / "hungry", "sha", embedder=embedder)
    wanted = stage.compute(entries, label_map(5), EmbeddingConfig(tiny), tmp_path / "plain", "sha")
    np.testing.assert_allclose(made.centers, wanted.centers, rtol=1e-4, atol=1e-6)
    assert "out of memory with 7 images at once; trying 3" in caplog.text


@pytest.mark.real
def test_real_photographs(shared, tiny, tmp_path):
    folders = sorted((shared / "data" / "tiny-imagenet").iterdir())[:4]
    entries = [(path, label) for label, folder in enumerate(folders) for path in sorted(folder.iterdir())[:4]]
    made = stage.compute(entries, label_map(4), EmbeddingConfig(tiny), tmp_path, "sha")
    wanted = class_means(one_at_a_time(entries), [label for _, label in entries])
    error = np.linalg.norm(made.centers - wanted, axis=1) / np.linalg.norm(wanted, axis=1)
    assert error.max() < 1e-6
