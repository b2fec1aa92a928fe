"""Centers as a classifier."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

import imagenet_nk
from imagenet_nk.embedding.embed import embed_images
from imagenet_nk.embedding.run import EmbeddingConfig, make_runs
from imagenet_nk.errors import CentersError
from small_models import compute, evaluate, label_map


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


@pytest.fixture
def similar_classes(tmp_path):
    """Twelve classes of eight noisy pictures each, hard to tell apart, as entries."""
    rng, made = np.random.default_rng(0), []
    for label in range(12):
        look = rng.integers(90, 130, (4, 4, 3))
        for index in range(8):
            pixels = (look + rng.normal(0, 25, look.shape)).clip(0, 255).astype(np.uint8)
            made.append((tmp_path / f"{label}_{index}.png", label))
            Image.fromarray(pixels).resize((64, 64)).save(made[-1][0])
    return made


def test_classifier_has_the_accuracy_of_the_evaluation(similar_classes, tiny, tmp_path):
    setting = EmbeddingConfig(dataclasses.replace(tiny, img_size=64, batch_size=16), cache=tmp_path)
    makes, asks = [entry for n, entry in enumerate(similar_classes) if n % 2], similar_classes[::2]
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


def test_centers_without_means_for_cl2n_are_refused_for_cl2n_only(made, entries, tiny, tmp_path):
    with pytest.raises(CentersError, match="no means for cl2n"):
        made.as_classifier("cl2n")
    without = dataclasses.replace(compute(entries, label_map(5), EmbeddingConfig(tiny), tmp_path), extras={})
    assert sorted(imagenet_nk.evaluate(without, entries)["ncm"]) == ["cosine", "euclidean"]


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_a_classifier_takes_embeddings_of_any_type(made, kind):
    logits = made.as_classifier()(torch.from_numpy(made.centers).to(kind))
    assert logits.argmax(1).tolist() == [0, 1, 2]
