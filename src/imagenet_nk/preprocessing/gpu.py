"""Decoding, resize and crop on the device that runs the model: nvJPEG in batches on a GPU, libjpeg on a CPU."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import simplejpeg
import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms.functional import center_crop

from imagenet_nk.errors import BackboneError
from imagenet_nk.formats import image_cost
from imagenet_nk.formats.magic import JPEG
from imagenet_nk.preprocessing.transforms import (
    UNREADABLE,
    RGBArray,
    TimmPreprocessor,
    UndecodableError,
    describe_transform,
    resize_and_crop,
    resize_key,
)
from imagenet_nk.preprocessing.types import describe_error

END_OF_IMAGE = b"\xff\xd9"  # checked here, because nvJPEG accepts a truncated file
TAIL_BYTES = 32  # at the end of the file, where the marker must be
SUBSAMPLINGS = ("444", "422", "420", "440", "411", "Gray")


class EncodedJpeg(NamedTuple):
    """A JPEG for the device to decode."""

    data: bytes


class GpuPreprocessor:
    """Decode, resize and crop on a device, in float32.

    The decoding threads only check the header; the thread that runs the model decodes a batch. What the decoder does
    not support (other formats, CMYK, truncated files) gets the crop of the reference, on the CPU. Pillow rounds between
    its two passes and nvJPEG has its own inverse DCT, so pixels differ by a few grey levels.
    """

    def __init__(self, data: Mapping[str, Any], device: torch.device) -> None:
        self.side, self.crop, self.mode = resize_and_crop(data, "gpu")
        self.device, self.reference = device, TimmPreprocessor(data)
        self._check_decoder()
        decoder = "nvjpeg " if device.type == "cuda" else "torch "
        self.resize_key, self.size = decoder + resize_key(data), self.reference.size
        self.cache_key = decoder + describe_transform(data)

    def __call__(self, data: bytes) -> EncodedJpeg | RGBArray:
        """The bytes for the device to decode, or the crop of the reference. Raises one of UNREADABLE."""
        image_cost.check(data)
        return EncodedJpeg(data) if _is_supported(data) else self.reference(data)

    def batch(self, items: Sequence[EncodedJpeg | RGBArray]) -> RGBArray | Tensor:
        """(B, H, W, 3) uint8: on a GPU a tensor there, on a CPU an array. Raises UndecodableError."""
        with torch.inference_mode(), own_stream(self.device):
            images = [item.data for item in items if isinstance(item, EncodedJpeg)]
            decoded = iter(self._crop_batch(images))
            crops = [next(decoded) if isinstance(item, EncodedJpeg) else self._to_device(item) for item in items]
            if reasons := {place: crop for place, crop in enumerate(crops) if isinstance(crop, str)}:
                raise UndecodableError(reasons)
            stacked = torch.stack(crops).permute(0, 2, 3, 1)  # type: ignore[arg-type]
            return stacked if self.device.type == "cuda" else np.ascontiguousarray(stacked.numpy())

    def _crop_batch(self, images: Sequence[bytes]) -> list[Tensor | str]:
        """(3, H, W) of each, or why it cannot be decoded; halves a batch that fails or does not fit into memory."""
        if not images:
            return []
        try:
            return [self._crop(image) for image in self._decode(images)]
        except RuntimeError:  # also out of memory; the decoder does not say which image failed
            if len(images) == 1:
                return [self._crop_by_reference(images[0])]
        half = len(images) // 2
        return [*self._crop_batch(images[:half]), *self._crop_batch(images[half:])]

    def _check_decoder(self) -> None:
        """Raise BackboneError if the decoder is missing; later, every image would be skipped as broken."""
        try:
            self._decode([simplejpeg.encode_jpeg(np.zeros((16, 16, 3), np.uint8))])
        except RuntimeError as error:
            raise BackboneError(
                f"backbone.preprocess=gpu: torchvision cannot decode on {self.device}; type backbone.preprocess=timm"
            ) from error

    def _decode(self, images: Sequence[bytes]) -> list[Tensor]:
        """(3, H, W) uint8 RGB of each, of any size. Raises RuntimeError if one cannot be decoded."""
        data = [torch.from_numpy(np.frombuffer(image, np.uint8).copy()) for image in images]
        decoded: list[Tensor] = decode_jpeg(data, ImageReadMode.RGB, self.device)
        return decoded

    def _crop(self, image_3HW: Tensor) -> Tensor:
        height, width = image_3HW.shape[1:]
        size = [self.side * height // min(height, width), self.side * width // min(height, width)]
        resized = interpolate(image_3HW[None].float(), size=size, mode=self.mode, antialias=True)
        cropped: Tensor = center_crop(resized, list(self.crop))[0]  # before rounding: fewer pixels to round
        return cropped.round_().clamp_(0, 255).to(torch.uint8)

    def _crop_by_reference(self, image: bytes) -> Tensor | str:
        try:
            return self._to_device(self.reference(image))
        except UNREADABLE as error:
            return describe_error(error)

    def _to_device(self, crop_HW3: RGBArray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(crop_HW3.transpose(2, 0, 1))).to(self.device)


def _is_supported(data: bytes) -> bool:
    """Whether a device's decoder supports these bytes: a complete JPEG in YCbCr or grey."""
    if not data.startswith(JPEG) or END_OF_IMAGE not in data[-TAIL_BYTES:]:
        return False
    try:
        _, _, space, subsampling = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return False
    return space in ("YCbCr", "Gray") and subsampling in SUBSAMPLINGS


_local = threading.local()


@contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """On a GPU, run the block on a stream of this thread's own: one thread decodes and copies while another computes.

    This also keeps the decoder's memory safe. nvJPEG writes on a stream of torchvision's, into memory that the
    allocator may reuse once the reads from it are queued on the thread's own stream. The forward pass ends by waiting
    for its result, so when a thread decodes, its stream is idle.
    """
    if device.type != "cuda":
        yield
        return
    streams: dict[torch.device, torch.cuda.Stream] = _local.__dict__.setdefault("streams", {})
    if device not in streams:
        streams[device] = torch.cuda.Stream(device)
        streams[device].wait_stream(torch.cuda.default_stream(device))  # the weights were copied there
    with torch.cuda.device(device), torch.cuda.stream(streams[device]):
        yield
