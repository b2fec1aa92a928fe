"""Small images and small models for the tests of centers."""

from __future__ import annotations

import io
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config

from imagenet_nk.centers.file import Centers
from imagenet_nk.centers.stage import BackboneCenters, compute_all, save
from imagenet_nk.config import BackboneConfig, EvaluateConfig
from imagenet_nk.embedding.run import make_runs
from imagenet_nk.evaluation.stage import evaluate_all, load_eval_list

torch.set_num_threads(1)

TINY = "test_resnet"  # timm's own test models: 3x160x160, half a million weights


@dataclass(frozen=True)
class Map:
    """A label map of the first n made-up classes."""

    wnids: tuple[str, ...]
    labels: tuple[int, ...]
    names: tuple[str, ...]


def label_map(n: int, start: int = 0) -> Map:
    return Map(
        tuple(f"n{k:08d}" for k in range(n)), tuple(range(start, start + n)), tuple(f"class {k}" for k in range(n))
    )


def picture(seed: int, width: int = 200, height: int = 180, mode: str = "RGB") -> Image.Image:
    """Coloured noise of low frequency, so that JPEG and resizing have something to keep."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 7, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


DATA = {
    "input_size": (3, 96, 96),
    "interpolation": "bicubic",
    "crop_pct": 0.9,
    "crop_mode": "center",
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
}


def encoded(image, kind="JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


FILES = {
    "rgb 4:2:0": encoded(picture(1), quality=85),
    "rgb 4:4:4": encoded(picture(2, 333, 128), quality=95, subsampling=0),
    "progressive": encoded(picture(3, 130, 401), progressive=True),
    "grey": encoded(picture(4, mode="L")),
    "cmyk": encoded(picture(5, mode="CMYK")),
    "smaller than the crop": encoded(picture(6, 31, 40)),
    "one pixel high": encoded(picture(7, 120, 1)),
    "png": encoded(picture(8), "PNG"),
    "palette": encoded(picture(9).quantize(16), "GIF"),
    "bytes after the end": encoded(picture(10)) + b"and more",
}


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """What a disk that is full does to whoever writes more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def entries(tmp_path: Path) -> list[tuple[Path, int]]:
    """Five classes with 2, 3, 4, 3 and 2 JPEGs of different sizes."""
    made = []
    for label, count in enumerate((2, 3, 4, 3, 2)):
        for index in range(count):
            path = tmp_path / f"n{label:08d}" / f"{index}.jpg"
            path.parent.mkdir(exist_ok=True)
            picture(10 * label + index, 160 + 30 * index, 170 + 10 * label).save(path, quality=90)
            made.append((path, label))
    return made


@pytest.fixture
def tiny() -> BackboneConfig:
    return BackboneConfig(name=TINY, pretrained=False, device="cpu", batch_size=4, threads=2)


def run_centers(entries, classes, config, output, *, run=None, progress=None) -> BackboneCenters:
    """Stage `centers` of one backbone; `run`: already made."""
    (computed,) = compute_all([run] if run else make_runs(config, output), entries, classes, "sha", progress)
    save(computed)
    return computed


def compute(entries, classes, config, output, **options) -> Centers:
    """The centers of one backbone, saved in `output`."""
    return run_centers(entries, classes, config, output, **options).centers


def evaluate(entries, classes, config, output, *, held_out=(), settings=None) -> dict[str, Any]:
    """Stage `evaluate` of one backbone."""
    held_out = load_eval_list(settings or EvaluateConfig(), classes) or held_out
    computed = compute_all(make_runs(config, output), entries, classes, "sha", others=[path for path, _ in held_out])
    return evaluate_all(computed, entries, classes, held_out=held_out, settings=settings)[0]


def embed_one_at_a_time(entries, name=TINY, seed=0):
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
