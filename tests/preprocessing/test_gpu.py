"""Decoding on the device, on a CPU in place of a GPU: the same code but for the decoder behind decode_jpeg."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from imagenet_nk.embedding import loader, parity
from imagenet_nk.embedding.run import EmbeddingConfig
from imagenet_nk.errors import BackboneError
from imagenet_nk.preprocessing import gpu
from imagenet_nk.preprocessing.gpu import EncodedJpeg, GpuPreprocessor
from imagenet_nk.preprocessing.transforms import UNREADABLE, TimmPreprocessor, UndecodableError
from small_models import DATA, FILES, compute, label_map, run_centers

CPU = torch.device("cpu")
JPEGS = {
    "rgb 4:2:0",
    "rgb 4:4:4",
    "progressive",
    "grey",
    "smaller than the crop",
    "one pixel high",
    "bytes after the end",
}

pytestmark = pytest.mark.filterwarnings("ignore:The image decoding and encoding capabilities:DeprecationWarning")


def max_difference(made, wanted) -> int:
    """The largest difference of two batches in grey levels."""
    return int(np.abs(made.astype(int) - wanted.astype(int)).max())


@pytest.mark.parametrize("changes", [{}, {"interpolation": "bilinear", "crop_pct": 1.0}])
def test_mixed_batch_is_within_a_few_grey_levels_of_the_reference(changes):
    data = DATA | changes
    device, exact = GpuPreprocessor(data, CPU), TimmPreprocessor(data)
    items = [device(file) for file in FILES.values()]
    assert {name for name, item in zip(FILES, items, strict=True) if isinstance(item, EncodedJpeg)} == JPEGS
    made = device.batch(items)
    wanted = np.stack([exact(file) for file in FILES.values()])
    assert made.shape == wanted.shape
    assert max_difference(made, wanted) <= 3
    for place, (item, crop) in enumerate(zip(items, wanted, strict=True)):
        if not isinstance(item, EncodedJpeg):
            np.testing.assert_array_equal(made[place], crop)


@pytest.mark.parametrize("data", [b"", b"<html>", FILES["rgb 4:2:0"][:-40], FILES["png"][:200], b"\xff\xd8\xff\xe0"])
def test_incomplete_images_are_refused_before_the_device(data):
    with pytest.raises(UNREADABLE):
        GpuPreprocessor(DATA, CPU)(data)


def test_reason_of_an_undecodable_image_is_the_same_in_every_run():
    with pytest.raises(UndecodableError) as raised:
        GpuPreprocessor(DATA, CPU).batch([EncodedJpeg(b"no image")])
    assert raised.value.reasons == {0: "UnidentifiedImageError: cannot identify image file"}


@pytest.fixture
def refusing(monkeypatch):
    """A decoder that refuses a batch with one of these images in it, and counts its calls."""
    refused, calls, real = set(), [], gpu.decode_jpeg

    def decode(images, *arguments):
        calls.append(len(images))
        if any(bytes(image.numpy()) in refused for image in images):
            raise RuntimeError("Error while decoding JPEG images")
        return real(images, *arguments)

    monkeypatch.setattr(gpu, "decode_jpeg", decode)
    return refused, calls


def test_an_image_that_the_decoder_refuses_is_decoded_by_the_reference(refusing):
    device, exact = GpuPreprocessor(DATA, CPU), TimmPreprocessor(DATA)
    files = [FILES[name] for name in sorted(JPEGS)]
    refusing[0].add(files[2])
    made = device.batch([EncodedJpeg(file) for file in files])
    np.testing.assert_array_equal(made[2], exact(files[2]))
    assert max_difference(made, np.stack([exact(file) for file in files])) <= 3


def test_image_that_neither_decodes_is_skipped_and_the_rest_of_its_batch_is_embedded(refusing, tmp_path):
    whole, broken = FILES["rgb 4:2:0"], FILES["rgb 4:4:4"]
    refusing[0].add(broken)
    device = GpuPreprocessor(DATA, CPU)

    def reference(_):
        raise OSError("broken data stream")

    device.reference = reference
    paths = [tmp_path / f"{n}.jpg" for n in range(5)]
    for n, path in enumerate(paths):
        path.write_bytes(broken if n == 3 else whole)
    with pytest.raises(UndecodableError) as raised:
        device.batch([device(path.read_bytes()) for path in paths])
    assert list(raised.value.reasons) == [3]

    def forward(batch):
        return batch[:, 0, 0, :1].astype(np.float32)

    made = list(
        loader.embed_batches(
            paths,
            lambda path: device(path.read_bytes()),
            forward,
            batch_size=5,
            threads=2,
            runners=1,
            collate=device.batch,
        )
    )
    assert made[0].rows.tolist() == [0, 1, 2, 4]
    assert made[0].embeddings.shape == (4, 1)
    assert [(image.path, image.reason) for image in made[0].skipped] == [(paths[3], "OSError: broken data stream")]


def test_a_batch_that_does_not_fit_into_memory_is_halved(monkeypatch):
    device, real, most = GpuPreprocessor(DATA, CPU), gpu.decode_jpeg, 2

    def decode(images, *arguments):
        if len(images) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return real(images, *arguments)

    whole = device.batch([EncodedJpeg(FILES["rgb 4:2:0"])] * 5)
    monkeypatch.setattr(gpu, "decode_jpeg", decode)
    np.testing.assert_array_equal(device.batch([EncodedJpeg(FILES["rgb 4:2:0"])] * 5), whole)


def test_a_torchvision_without_the_decoder_is_one_line(monkeypatch):
    def decode(*_):
        raise RuntimeError("decode_jpegs_cuda: torchvision not compiled with nvJPEG support")

    monkeypatch.setattr(gpu, "decode_jpeg", decode)
    with pytest.raises(BackboneError, match="preprocess=timm"):
        GpuPreprocessor(DATA, CPU)


def test_transform_of_another_form_is_refused():
    with pytest.raises(BackboneError, match="preprocess=gpu supports resize and centre crop"):
        GpuPreprocessor(DATA | {"crop_mode": "squash"}, CPU)


def test_centers_agree_with_the_reference(entries, tiny, tmp_path):
    reference = compute(entries, label_map(5), EmbeddingConfig(tiny), tmp_path / "exact")
    setting = EmbeddingConfig(dataclasses.replace(tiny, preprocess="gpu"))
    computed = run_centers(entries, label_map(5), setting, tmp_path / "device")
    made = computed.centers
    lengths = np.linalg.norm(made.centers, axis=1) * np.linalg.norm(reference.centers, axis=1)
    assert ((made.centers * reference.centers).sum(1) / lengths).min() >= parity.MIN_COSINE
    assert computed.embeddings.plan.parity["cosine_min"] >= parity.MIN_COSINE
    assert made.metadata["transform"].startswith("torch ")
