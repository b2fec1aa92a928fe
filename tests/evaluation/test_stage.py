"""The stage evaluate, end to end on small images."""

from __future__ import annotations

import collections
import json
import logging
from pathlib import Path

import numpy as np
import pytest

from imagenet_nk.centers.stage import compute_all, save
from imagenet_nk.config import EvaluateConfig
from imagenet_nk.embedding.run import EmbeddingConfig, make_runs
from imagenet_nk.evaluation.stage import evaluate_all
from imagenet_nk.lists import list_file
from imagenet_nk.preprocessing.row_cache import RowCache
from imagenet_nk.storage import files
from small_models import class_means, compute, embed_one_at_a_time, evaluate, label_map


def test_leave_one_out_accuracy_is_that_of_a_plain_loop(entries, tiny, tmp_path):
    compute(entries, label_map(5), EmbeddingConfig(tiny), tmp_path)
    metrics = evaluate(entries, label_map(5), EmbeddingConfig(tiny), tmp_path)
    x, labels = embed_one_at_a_time(entries), np.array([label for _, label in entries])
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
def test_when_no_image_can_be_evaluated_the_reason_is_logged(entries, tiny, tmp_path, caplog, kept, held_out, why):
    listed = [entries[index] for index in kept]
    other = tmp_path / "other.txt"
    other.write_bytes(b"no image")
    held_out = [(other, 0) for _ in held_out]
    with caplog.at_level(logging.INFO):
        evaluate(listed, label_map(5), EmbeddingConfig(tiny), tmp_path, held_out=held_out)
    assert f"nearest class mean, nothing to evaluate: {why}" in caplog.text


def test_held_out_images_are_evaluated_and_make_no_center(entries, tiny, tmp_path):
    held_out = entries[::3]
    train = [entry for entry in entries if entry not in held_out]
    setting = EmbeddingConfig(tiny)
    made = compute(train, label_map(5), setting, tmp_path)
    metrics = evaluate(train, label_map(5), setting, tmp_path, held_out=held_out)
    wanted = class_means(embed_one_at_a_time(train), [label for _, label in train])
    np.testing.assert_allclose(made.centers, wanted, rtol=1e-3, atol=1e-5)
    x, labels = embed_one_at_a_time(held_out), [label for _, label in held_out]
    nearest = [np.linalg.norm(wanted - row, axis=1).argmin() for row in x]
    assert metrics["protocol"] == "held-out"
    assert metrics["images"] == len(held_out)
    assert metrics["ncm"]["euclidean"]["top1"]["value"] == pytest.approx(np.mean(np.equal(nearest, labels)))


def test_evaluate_list_is_evaluated_like_held_out_images(entries, tiny, tmp_path):
    list_file.write_list(tmp_path / "other.txt", [list_file.Entry(str(path), label) for path, label in entries[1::2]])
    setting, named = EmbeddingConfig(tiny), EvaluateConfig(list=str(tmp_path / "other.txt"))
    by_name = evaluate(entries[::2], label_map(5), setting, tmp_path, settings=named)
    given = evaluate(entries[::2], label_map(5), setting, tmp_path, held_out=entries[1::2])
    assert by_name == given
    assert by_name["images"] == len(entries[1::2])


def test_random_splits_give_mean_and_standard_deviation(entries, tiny, tmp_path):
    metrics = evaluate(entries, label_map(5), EmbeddingConfig(tiny), tmp_path, settings=EvaluateConfig(random_splits=3))
    divided = metrics["random_splits"]
    assert divided["seeds"] == [0, 1, 2]
    values = divided["cosine"]["values"]
    assert divided["cosine"]["mean"] == pytest.approx(np.mean(values))
    assert divided["cosine"]["std"] == pytest.approx(np.std(values, ddof=1))


def test_centers_and_evaluation_open_the_cache_once_and_read_and_stat_each_image_once(
    entries, tiny, tmp_path, monkeypatch
):
    counts = collections.Counter()

    def count(owner, name):
        real = getattr(owner, name)

        def counting(self, *arguments, **options):
            counts[name, str(self) if isinstance(self, Path) else owner.__name__] += 1
            return real(self, *arguments, **options)

        monkeypatch.setattr(owner, name, counting)

    count(Path, "stat")
    real_open = files.open_regular

    def open_and_count(path):
        counts["open", str(path)] += 1
        return real_open(path)

    monkeypatch.setattr(files, "open_regular", open_and_count)
    count(RowCache, "__init__")
    held_out = entries[::3]
    listed = [entry for entry in entries if entry not in held_out]
    others = [path for path, _ in held_out]
    computed = compute_all(make_runs(EmbeddingConfig(tiny), tmp_path), listed, label_map(5), "sha", others=others)
    save(computed[0])
    metrics = evaluate_all(computed, listed, label_map(5), held_out=held_out, settings=EvaluateConfig(random_splits=2))
    assert metrics[0]["images"] == len(held_out)
    assert counts["__init__", "RowCache"] == 1
    for path, _ in entries:
        assert counts["open", str(path)] == 1
        assert counts["stat", str(path)] <= 2
