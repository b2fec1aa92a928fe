"""Every statistic of real photographs against plain numpy, for several batch sizes and numbers of threads."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config

from imagenet_nk.embedding.run import EmbeddingConfig
from small_models import TINY, compute, label_map

CLASSES, EACH, SIZE = 8, 6, 64

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def photographs(shared):
    folders = sorted((shared / "data" / "tiny-imagenet").iterdir())[:CLASSES]
    return [(path, label) for label, folder in enumerate(folders) for path in sorted(folder.iterdir())[:EACH]]


@pytest.fixture(scope="module")
def embeddings(photographs):
    """(N, D) float64, one image a forward pass of timm's model after timm's transform."""
    torch.manual_seed(0)
    model = timm.create_model(TINY, num_classes=0).eval()
    transform = create_transform(**resolve_model_data_config(model, args={"img_size": SIZE}))
    with torch.inference_mode():
        rows = [model(transform(Image.open(path).convert("RGB"))[None])[0].double().numpy() for path, _ in photographs]
    return np.stack(rows)


def by_class(x):
    return x.reshape(CLASSES, EACH, -1)


def numpys(x):
    """Name to value of every statistic, by the formulas of docs/centers.md and nothing of this program."""
    classes = by_class(x)
    centers = classes.mean(1)
    away = classes - centers[:, None]
    centred = classes - x.mean(0)
    return {
        "centers": centers,
        "spread": np.sqrt((away**2).sum(2).mean(1)),
        "cl2n": (centred / np.linalg.norm(centred, axis=2, keepdims=True)).mean(1),
        "cl2n_origin": x.mean(0),
        "medoids": (away**2).sum(2).argmin(1),
    }


def same(made, wanted, name, tolerance=1e-5):
    """Row by row, within a share of the row's length."""
    made, wanted = np.atleast_2d(made).astype(np.float64), np.atleast_2d(wanted)
    lengths = np.linalg.norm(wanted, axis=-1)
    error = np.linalg.norm(made - wanted, axis=-1) / np.maximum(lengths, 1e-3 * lengths.max())  # some units are dead
    assert error.max() < tolerance, name


@pytest.mark.parametrize(("batch", "workers"), [*zip((1, 7, 64, 7), (0, 1, 2, 3), strict=True), (1, 3), (64, 0)])
def test_all_statistics_equal_numpy_for_any_batch_size_and_threads(
    batch, workers, photographs, embeddings, tiny, tmp_path
):
    config = dataclasses.replace(tiny, img_size=SIZE, batch_size=batch, threads=workers)
    made = compute(photographs, label_map(CLASSES), EmbeddingConfig(config), tmp_path)
    wanted = numpys(embeddings)
    medoids = [str(photographs[k * EACH + row][0]) for k, row in enumerate(wanted.pop("medoids"))]
    assert made.metadata["medoids"] == json.dumps(medoids)
    for name, value in wanted.items():
        same(made.extras[name] if name in made.extras else getattr(made, name), value, name)
