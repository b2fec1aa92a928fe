"""The saved file, its exports, and centers as a classifier."""

from __future__ import annotations

import csv
import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import imagenet_nk
from imagenet_nk.centers.file import Centers
from imagenet_nk.embedding.embeddings import embed_images
from imagenet_nk.embedding.run import EmbeddingConfig, make_runs
from imagenet_nk.errors import CentersError
from small_models import compute, evaluate, label_map


@pytest.fixture
def made():
    rng = np.random.default_rng(0)
    return Centers(
        rng.normal(size=(3, 4)).astype(np.float32),
        np.array([2, 1, 5]),
        np.array([4, 7, 9]),
        rng.random(3).astype(np.float32),
        ("n00000004", "n00000007", "n00000009"),
        ("crane", "crane, bird", 'says "quack"'),
        {"backbone": "x"},
        {"covariance": np.eye(4, dtype=np.float32)},
    )


def test_what_is_saved_is_loaded(made, tmp_path):
    made.save(tmp_path / "a" / "centers.safetensors")
    for path in (tmp_path / "a", str(tmp_path / "a" / "centers.safetensors")):
        again = imagenet_nk.load_centers(path)
        np.testing.assert_array_equal(again.centers, made.centers)
        assert (again.centers.dtype, again.counts.dtype, again.labels.dtype) == (np.float32, np.int64, np.int64)
        np.testing.assert_array_equal(again.labels, made.labels)
        np.testing.assert_array_equal(again.extras["covariance"], np.eye(4))
        assert (again.wnids, again.names, again.metadata["backbone"]) == (made.wnids, made.names, "x")
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["centers.safetensors"]


def test_the_same_centers_are_the_same_file(made, tmp_path):
    made = dataclasses.replace(made, metadata={f"key {n}": "ü" * n for n in range(20)})
    for name in "abc":
        made.save(tmp_path / name)
    assert len({(tmp_path / name).read_bytes() for name in "abc"}) == 1
    loaded = imagenet_nk.load_centers(tmp_path / "a").metadata
    assert {key: loaded[key] for key in made.metadata} == made.metadata


@pytest.mark.parametrize("content", [None, b"", b"no such file", b"\x08\0\0\0\0\0\0\0{}      "])
def test_what_is_no_centers_file_is_one_line(content, tmp_path):
    path = tmp_path / "c.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CentersError) as raised:
        imagenet_nk.load_centers(path)
    assert "\n" not in str(raised.value)


def test_exports_hold_the_same_numbers(made, tmp_path):
    made.to_npz(tmp_path / "c.npz")
    with np.load(tmp_path / "c.npz") as loaded:
        np.testing.assert_array_equal(loaded["centers"], made.centers)
        assert tuple(loaded["wnids"]) == made.wnids
        assert json.loads(str(loaded["metadata"])) == {"backbone": "x"}
    made.to_csv(tmp_path / "c.csv")
    with (tmp_path / "c.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == list(made.names)
    values = np.array([[row[f"c{d}"] for d in range(4)] for row in rows]).astype(np.float32)
    np.testing.assert_array_equal(values, made.centers)


def test_the_classifier_chooses_the_nearest_center(made):
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    centers = torch.from_numpy(made.centers)
    nearest = torch.cdist(x, centers).argmin(1)
    assert torch.equal(made.as_classifier()(x).argmax(1), nearest)
    torch.testing.assert_close(made.as_classifier(scale=3).as_linear()(x), made.as_classifier(scale=3)(x))
    cosine = torch.nn.functional.cosine_similarity(x[:, None], centers[None], dim=2)
    torch.testing.assert_close(made.as_classifier("cosine")(x), cosine)
    with pytest.raises(ValueError, match="euclidean, cosine or cl2n"):
        made.as_classifier("hamming")


def test_importing_the_package_and_reading_centers_imports_no_torch(made, tmp_path):
    made.save(tmp_path / "centers.safetensors")
    code = (
        "import sys, imagenet_nk; c = imagenet_nk.load_centers(sys.argv[1]); "
        "assert len(c) == 3; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_saved_centers_are_judged_from_python(entries, tiny, tmp_path):
    made = compute(entries[::2], label_map(5), EmbeddingConfig(tiny, seed=3), tmp_path)
    wanted = evaluate(entries[::2], label_map(5), EmbeddingConfig(tiny, seed=3), tmp_path, held_out=entries[1::2])
    judged = imagenet_nk.evaluate(tmp_path, entries[1::2], cache=tmp_path)
    assert judged["images"] == len(entries[1::2])
    for name in ("euclidean", "cosine", "cl2n"):
        assert judged["ncm"][name]["top1"]["value"] == wanted["ncm"][name]["top1"]["value"]
    other = dataclasses.replace(made, metadata={**made.metadata, "weights_sha256": "0" * 64})
    with pytest.raises(CentersError, match="not those that made the centers"):
        imagenet_nk.evaluate(other, entries)


def test_a_file_whose_numbers_have_changed_is_refused(made, tmp_path):
    path = tmp_path / "centers.safetensors"
    made.save(path)
    data = bytearray(path.read_bytes())
    data[-5] ^= 64
    path.write_bytes(data)
    with pytest.raises(CentersError, match="is damaged"):
        imagenet_nk.load_centers(path)


@pytest.fixture
def alike(tmp_path):
    """Twelve classes of eight noisy pictures each, hard to tell apart, as entries."""
    rng, made = np.random.default_rng(0), []
    for label in range(12):
        look = rng.integers(90, 130, (4, 4, 3))
        for index in range(8):
            pixels = (look + rng.normal(0, 25, look.shape)).clip(0, 255).astype(np.uint8)
            made.append((tmp_path / f"{label}_{index}.png", label))
            Image.fromarray(pixels).resize((64, 64)).save(made[-1][0])
    return made


def test_a_classifier_is_as_good_as_the_evaluation_says(alike, tiny, tmp_path):
    setting = EmbeddingConfig(dataclasses.replace(tiny, img_size=64, batch_size=16), cache=tmp_path)
    makes, asks = [entry for n, entry in enumerate(alike) if n % 2], alike[::2]
    compute(makes, label_map(12), setting, tmp_path)
    metrics = evaluate(makes, label_map(12), setting, tmp_path, held_out=asks)
    made = imagenet_nk.load_centers(tmp_path)
    images = [path for path, _ in asks]
    (embeddings,) = embed_images(make_runs(setting, tmp_path), images)
    x = torch.from_numpy(embeddings.read(embeddings.find(images)))
    labels, accuracy = torch.tensor([label for _, label in asks]), {}
    for name in ("euclidean", "cosine", "cl2n"):
        said = torch.tensor(made.labels)[made.as_classifier(name)(x).argmax(1)]
        accuracy[name] = (said == labels).double().mean().item()
    assert accuracy == {name: figure["top1"]["value"] for name, figure in metrics["ncm"].items()}
    assert accuracy["euclidean"] != accuracy["cl2n"] != accuracy["cosine"]  # so none can stand in for another


def test_centers_without_means_for_cl2n_say_so(made, entries, tiny, tmp_path):
    with pytest.raises(CentersError, match="no means for cl2n"):
        made.as_classifier("cl2n")
    without = dataclasses.replace(compute(entries, label_map(5), EmbeddingConfig(tiny), tmp_path), extras={})
    assert sorted(imagenet_nk.evaluate(without, entries, bootstrap=0)["ncm"]) == ["cosine", "euclidean"]


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_a_classifier_takes_embeddings_of_any_type(made, kind):
    logits = made.as_classifier()(torch.from_numpy(made.centers).to(kind))
    assert logits.argmax(1).tolist() == [0, 1, 2]
