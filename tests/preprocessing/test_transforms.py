"""Pixels: TimmPreprocessor is timm's transform bit for bit; TorchPreprocessor is close to it."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform

from imagenet_nk.errors import BackboneError
from imagenet_nk.preprocessing import transforms
from small_models import DATA, FILES


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("changes", [{}, {"interpolation": "bilinear", "crop_pct": 1.0}, {"crop_mode": "squash"}])
def test_timm_preprocessor_is_timms_transform_bit_for_bit(name, changes):
    data = DATA | changes
    crop = transforms.TimmPreprocessor(data)(FILES[name])
    batch = torch.from_numpy(np.ascontiguousarray(crop[None].transpose(0, 3, 1, 2)))
    wanted = create_transform(**data)(Image.open(io.BytesIO(FILES[name])).convert("RGB"))
    assert torch.equal(transforms.normaliser(data)(batch)[0], wanted)


@pytest.mark.real
def test_timm_preprocessor_is_timms_transform_on_real_photographs(shared):
    transform = create_transform(**DATA)
    exact, normalise = transforms.TimmPreprocessor(DATA), transforms.normaliser(DATA)
    for path in sorted((shared / "data" / "imagenet-samples").glob("*.JPEG"))[::40]:
        batch = torch.from_numpy(np.ascontiguousarray(exact(path.read_bytes())[None].transpose(0, 3, 1, 2)))
        assert torch.equal(normalise(batch)[0], transform(Image.open(path).convert("RGB"))), path


@pytest.mark.parametrize("name", FILES)
def test_torch_preprocessor_is_within_a_few_grey_levels(name):
    exact, fast = (
        kind(DATA)(FILES[name]).astype(int) for kind in (transforms.TimmPreprocessor, transforms.TorchPreprocessor)
    )
    assert exact.shape == fast.shape
    assert np.abs(exact - fast).max() <= 3


@pytest.mark.parametrize("data", [b"", b"<html>", FILES["rgb 4:2:0"][:600], FILES["png"][:200], b"\xff\xd8\xff\xe0"])
def test_bytes_that_are_no_complete_image_are_unreadable(data):
    with pytest.raises(transforms.UNREADABLE):
        transforms.TimmPreprocessor(DATA)(data)


def test_torch_preprocessor_refuses_a_transform_of_another_form():
    with pytest.raises(BackboneError, match="preprocess=timm"):
        transforms.TorchPreprocessor(DATA | {"crop_mode": "squash"})
