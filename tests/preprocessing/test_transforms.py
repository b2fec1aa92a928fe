"""Pixels: exact is timm's transform bit for bit; fast is near enough, or is not used."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform

from imagenet_nk.backbones import runtimes
from imagenet_nk.centers import stage
from imagenet_nk.centers.stage import EmbeddingConfig
from imagenet_nk.config import Dtype
from imagenet_nk.embedding import parity
from imagenet_nk.errors import BackboneError
from imagenet_nk.evaluation import stage as evaluation_stage
from imagenet_nk.preprocessing import transforms
from small_models import DATA, FILES, label_map


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("changes", [{}, {"interpolation": "bilinear", "crop_pct": 1.0}, {"crop_mode": "squash"}])
def test_exact_is_timms_transform_bit_for_bit(name, changes):
    data = DATA | changes
    crop = transforms.TimmPreprocessor(data)(FILES[name])
    batch = torch.from_numpy(np.ascontiguousarray(crop[None].transpose(0, 3, 1, 2)))
    wanted = create_transform(**data)(Image.open(io.BytesIO(FILES[name])).convert("RGB"))
    assert torch.equal(transforms.normaliser(data)(batch)[0], wanted)


@pytest.mark.real
def test_exact_is_timms_transform_on_real_photographs(shared):
    transform = create_transform(**DATA)
    exact, normalise = transforms.TimmPreprocessor(DATA), transforms.normaliser(DATA)
    for path in sorted((shared / "data" / "imagenet-samples").glob("*.JPEG"))[::40]:
        batch = torch.from_numpy(np.ascontiguousarray(exact(path.read_bytes())[None].transpose(0, 3, 1, 2)))
        assert torch.equal(normalise(batch)[0], transform(Image.open(path).convert("RGB"))), path


@pytest.mark.parametrize("name", FILES)
def test_fast_is_within_a_few_grey_levels(name):
    exact, fast = (
        kind(DATA)(FILES[name]).astype(int) for kind in (transforms.TimmPreprocessor, transforms.TorchPreprocessor)
    )
    assert exact.shape == fast.shape
    assert np.abs(exact - fast).max() <= 3


@pytest.mark.parametrize("data", [b"", b"<html>", FILES["rgb 4:2:0"][:600], FILES["png"][:200], b"\xff\xd8\xff\xe0"])
def test_what_is_no_whole_image_is_unreadable(data):
    with pytest.raises(transforms.UNREADABLE):
        transforms.TimmPreprocessor(DATA)(data)


def test_fast_refuses_a_transform_that_it_does_not_know():
    with pytest.raises(BackboneError, match="preprocess=timm"):
        transforms.TorchPreprocessor(DATA | {"crop_mode": "squash"})


def cosines(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_centers_of_the_quick_paths_agree_with_the_reference(entries, tiny, tmp_path):
    reference = stage.compute(entries, label_map(5), EmbeddingConfig(tiny), tmp_path / "exact", "sha")
    for changes in ({"preprocess": "torch"}, {"dtype": "bfloat16"}):
        setting = EmbeddingConfig(dataclasses.replace(tiny, **changes))
        made = stage.compute(entries, label_map(5), setting, tmp_path / str(changes), "sha")
        assert cosines(made.centers, reference.centers).min() >= parity.TOLERANCE
        metrics = evaluation_stage.evaluate(entries, label_map(5), setting, tmp_path / str(changes))
        assert metrics["parity"] is None  # nothing was embedded in this stage: it read what the other kept
        embedder = setting.embedder(tmp_path / "again")
        metrics = evaluation_stage.evaluate(entries, label_map(5), setting, tmp_path / "again", embedder=embedder)
        assert metrics["parity"]["cosine_min"] >= parity.TOLERANCE


@pytest.mark.skipif(torch.ops.mkldnn._is_mkldnn_fp16_supported(), reason="this CPU has float16 arithmetic")
def test_float16_in_software_is_said_once_before_it_costs_time(entries, tiny, tmp_path, caplog):
    for dtype in ("float16", "float32", "bfloat16"):
        embedder = EmbeddingConfig(dataclasses.replace(tiny, dtype=dtype, img_size=32)).embedder(tmp_path)
        for _ in range(2):
            embedder.ready([path for path, _ in entries[:2]])
    slow = [record.getMessage() for record in caplog.records if "in software" in record.getMessage()]
    assert [line.split(":")[0] for line in slow if "bfloat16: " not in line] == ["backbone.dtype=float16"]
    assert "type backbone.dtype=float32" in slow[0]


def test_openvinos_batch_is_not_found_in_a_type_that_pytorch_has_in_software(tiny, tmp_path, monkeypatch):
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    real, kinds = runtimes.eager, []

    def noting(built, device, dtype=Dtype.float32):
        kinds.append(dtype)
        return real(built, device, dtype)

    monkeypatch.setattr(runtimes, "eager", noting)
    config = dataclasses.replace(tiny, runtime="openvino", dtype="float16", img_size=32, batch_size=None)
    EmbeddingConfig(config).embedder(tmp_path).ready([])
    assert set(kinds) == {Dtype.float32}


def test_a_quick_path_that_does_not_agree_is_not_used(entries, tiny, tmp_path, monkeypatch, caplog):
    reference = stage.compute(entries, label_map(5), EmbeddingConfig(tiny), tmp_path / "exact", "sha")
    monkeypatch.setattr(
        transforms.TorchPreprocessor,
        "__call__",
        lambda _, data: transforms.TimmPreprocessor(DATA_160)(data)[::-1].copy(),
    )
    setting = EmbeddingConfig(dataclasses.replace(tiny, preprocess="torch"))
    made = stage.compute(entries, label_map(5), setting, tmp_path / "fast", "sha")
    np.testing.assert_allclose(made.centers, reference.centers, rtol=1e-5, atol=1e-7)
    assert not made.metadata["transform"].startswith("fast")
    assert "back to the reference" in caplog.text


DATA_160 = DATA | {"input_size": (3, 160, 160), "crop_pct": 0.95}
