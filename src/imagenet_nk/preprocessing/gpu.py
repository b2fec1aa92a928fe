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
from imagenet_nk.formats.magic import JPEG
from imagenet_nk.preprocessing.transforms import (
    UNREADABLE,
    RGBArray,
    TimmPreprocessor,
    UndecodableError,
    description,
    resize_and_crop,
    spatial,
)
from imagenet_nk.preprocessing.types import fault

END = b"\xff\xd9"  # of a whole JPEG; nvJPEG takes one that was cut off for whole
TAIL = 32  # bytes at the end in which it must stand
SUBSAMPLINGS = ("444", "422", "420", "440", "411", "Gray")


class EncodedJpeg(NamedTuple):
    """A JPEG that the device is to decode."""

    data: bytes


class GpuPreprocessor:
    """The reference's resize and crop in float32 on a device, over the device's own JPEG decoder.

    A lane only looks at the header; the thread that runs the model decodes a batch. What the device does not take
    (other formats, CMYK, a file that is cut off) gets the crop of the reference, on the CPU. Pillow rounds between its
    two passes and nvJPEG has its own inverse DCT, so pixels differ by a few grey levels.
    """

    def __init__(self, data: Mapping[str, Any], device: torch.device) -> None:
        self.side, self.crop, self.mode = resize_and_crop(data, "gpu")
        self.device, self.reference = device, TimmPreprocessor(data)
        self._decodes()
        decoder = "nvjpeg " if device.type == "cuda" else "torch "
        self.spatial, self.size = decoder + spatial(data), self.reference.size
        self.identity = decoder + description(data)

    def __call__(self, data: bytes) -> EncodedJpeg | RGBArray:
        """The image as it is for the device to decode, or its crop. Raises one of UNREADABLE."""
        return EncodedJpeg(data) if _takes(data) else self.reference(data)

    def batch(self, items: Sequence[EncodedJpeg | RGBArray]) -> RGBArray | Tensor:
        """(B, H, W, 3) uint8: on a GPU a tensor there, on a CPU an array. Raises UndecodableError."""
        with torch.inference_mode(), own_stream(self.device):
            places = [place for place, item in enumerate(items) if isinstance(item, EncodedJpeg)]
            images = [item.data for item in items if isinstance(item, EncodedJpeg)]
            made = dict(zip(places, self._crops(images), strict=True))
            if bad := {place: crop for place, crop in made.items() if isinstance(crop, str)}:
                raise UndecodableError(bad)
            crops = [
                made[place] if isinstance(item, EncodedJpeg) else self._moved(item) for place, item in enumerate(items)
            ]
            stacked = torch.stack(crops).permute(0, 2, 3, 1)  # type: ignore[arg-type]
            return stacked if self.device.type == "cuda" else np.ascontiguousarray(stacked.numpy())

    def _crops(self, images: Sequence[bytes]) -> list[Tensor | str]:
        """(3, H, W) of each, or why there is none; halves a batch that the decoder refuses or that does not fit."""
        if not images:
            return []
        try:
            return [self._cropped(image) for image in self._decoded(images)]
        except RuntimeError:  # out of memory included; the decoder does not say which image it was
            if len(images) == 1:
                return [self._by_reference(images[0])]
        half = len(images) // 2
        return [*self._crops(images[:half]), *self._crops(images[half:])]

    def _decodes(self) -> None:
        """Raise BackboneError where the decoder is missing, which later would look as if every image were broken."""
        try:
            self._decoded([simplejpeg.encode_jpeg(np.zeros((16, 16, 3), np.uint8))])
        except RuntimeError as error:
            raise BackboneError(
                f"backbone.preprocess=gpu: torchvision cannot decode on {self.device}; type backbone.preprocess=timm"
            ) from error

    def _decoded(self, images: Sequence[bytes]) -> list[Tensor]:
        """(3, H, W) uint8 RGB of each, of any size. Raises RuntimeError where one cannot be decoded."""
        data = [torch.from_numpy(np.frombuffer(image, np.uint8).copy()) for image in images]
        decoded: list[Tensor] = decode_jpeg(data, ImageReadMode.RGB, self.device)
        return decoded

    def _cropped(self, image_3HW: Tensor) -> Tensor:
        height, width = image_3HW.shape[1:]
        size = [self.side * height // min(height, width), self.side * width // min(height, width)]
        resized = interpolate(image_3HW[None].float(), size=size, mode=self.mode, antialias=True)
        cropped: Tensor = center_crop(resized, list(self.crop))[0]  # before rounding: fewer pixels to round
        return cropped.round_().clamp_(0, 255).to(torch.uint8)

    def _by_reference(self, image: bytes) -> Tensor | str:
        try:
            return self._moved(self.reference(image))
        except UNREADABLE as error:
            return fault(error)

    def _moved(self, crop_HW3: RGBArray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(crop_HW3.transpose(2, 0, 1))).to(self.device)


def _takes(data: bytes) -> bool:
    """Whether a device's decoder may have these bytes: a whole JPEG in YCbCr or grey."""
    if not data.startswith(JPEG) or END not in data[-TAIL:]:
        return False
    try:
        _, _, space, subsampling = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return False
    return space in ("YCbCr", "Gray") and subsampling in SUBSAMPLINGS


_streams = threading.local()


@contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """On a GPU, work goes to a stream of this thread's own: one thread decodes and copies while another computes.

    It is also what keeps the decoder's memory safe: nvJPEG writes on a stream of torchvision's, into memory that the
    allocator may hand out again as soon as the thread's own stream has been given the work that read it. The forward
    pass ends by waiting for its result, so when a thread decodes, its stream is idle.
    """
    if device.type != "cuda":
        yield
        return
    known: dict[torch.device, torch.cuda.Stream] = _streams.__dict__.setdefault("of", {})
    if device not in known:
        known[device] = torch.cuda.Stream(device)
        known[device].wait_stream(torch.cuda.default_stream(device))  # the weights were copied there
    with torch.cuda.device(device), torch.cuda.stream(known[device]):
        yield
