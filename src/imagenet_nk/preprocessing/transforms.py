"""From the bytes of an image to the pixels of its crop: timm's own evaluation transform.

The transform has two parts. Resize and crop give uint8 pixels, image by image; division by 255 and normalisation are
done for a whole batch, in the same float32 operations.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from PIL import Image
from timm.data import create_transform
from timm.data.transforms import MaybeToTensor
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.transforms import Compose, Normalize
from torchvision.transforms.functional import center_crop

from imagenet_nk.errors import BackboneError
from imagenet_nk.formats import image_cost
from imagenet_nk.formats.magic import JPEG
from imagenet_nk.formats.pixels import open_image, to_8_bit

_BAND = 2**21  # pixels that are converted together
RGBArray = NDArray[np.uint8]  # (H, W, 3)
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)


class UndecodableError(Exception):
    """Some images of a batch cannot be decoded, which was found only while the batch was put together."""

    def __init__(self, reasons: Mapping[int, str]) -> None:
        super().__init__(f"{len(reasons)} images of a batch cannot be decoded")
        self.reasons = reasons  # place in the batch to reason


class Preprocessor(Protocol):
    """Makes the pixels of a crop from the bytes of an image; releases the GIL, so that threads share the cores."""

    cache_key: str  # the whole transform, normalisation included
    resize_key: str  # what the pixels of a crop depend on
    size: tuple[int, int]  # height and width of a crop

    def __call__(self, data: bytes) -> Any:
        """(H, W, 3) RGB, or whatever `batch` takes. Raises one of UNREADABLE for bytes that are no complete image."""

    def batch(self, items: Sequence[Any]) -> RGBArray | Tensor:
        """(B, H, W, 3) from the results for B images. Raises UndecodableError."""


class TimmPreprocessor:
    """The pixels of timm's transform, bit for bit: PIL's resize after PIL's decoder, or one with the same pixels."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.resize, _ = split_transform(data)
        self.resize_key, self.size = resize_key(data), tuple(data["input_size"][-2:])
        self.cache_key = describe_transform(data)

    def __call__(self, data: bytes) -> RGBArray:
        pixels: RGBArray = np.asarray(self.resize(Image.fromarray(decode(data))))
        return pixels

    def batch(self, items: Sequence[RGBArray]) -> RGBArray:
        return np.stack(items)


class TorchPreprocessor:
    """The same resize and crop by torch's uint8 kernels: pixels within 2 of 255, in half the time.

    Both are Pillow's antialiased bicubic or bilinear filter; torch keeps its weights in 16 bits. Raises BackboneError
    for a transform of another form.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.side, self.crop, self.mode = resize_and_crop(data, "torch")
        self.resize_key, self.size = "fast " + resize_key(data), tuple(data["input_size"][-2:])
        self.cache_key = "fast " + describe_transform(data)

    def __call__(self, data: bytes) -> RGBArray:
        pixels = torch.from_numpy(decode(data)).permute(2, 0, 1)[None]
        height, width = pixels.shape[2:]
        size = [self.side * height // min(height, width), self.side * width // min(height, width)]
        resized = interpolate(pixels, size=size, mode=self.mode, antialias=True)
        cropped: Tensor = center_crop(resized, list(self.crop))[0]
        return cropped.permute(1, 2, 0).contiguous().numpy()

    def batch(self, items: Sequence[RGBArray]) -> RGBArray:
        return np.stack(items)


def resize_and_crop(data: Mapping[str, Any], name: str) -> tuple[int, tuple[int, int], str]:
    """The shorter side after resizing, the crop (height, width), and the filter of a transform that torch can do.

    name: the value of backbone.preprocess, for the BackboneError that a transform of another form raises.
    """
    steps = split_transform(data)[0].transforms
    names, mode = [type(step).__name__ for step in steps], str(data["interpolation"])
    if names != ["Resize", "CenterCrop"] or mode not in ("bicubic", "bilinear") or not isinstance(steps[0].size, int):
        raise BackboneError(
            f"backbone.preprocess={name} supports resize and centre crop only; type backbone.preprocess=timm"
        )
    return steps[0].size, steps[1].size, mode


def split_transform(data: Mapping[str, Any]) -> tuple[Any, Normalize]:
    """timm's transform, split where pixels become floats. Raises BackboneError if it has another form."""
    steps = create_transform(**data, is_training=False).transforms
    if len(steps) < 2 or not isinstance(steps[-2], MaybeToTensor) or not isinstance(steps[-1], Normalize):
        names = ", ".join(type(step).__name__ for step in steps)
        raise BackboneError(f"timm's transform of this model is not resize, crop, tensor, normalise but {names}")
    return Compose(steps[:-2]), steps[-1]


def decode(data: bytes) -> RGBArray:
    """(H, W, 3) RGB, what `Image.open(...).convert("RGB")` gives; deeper than 8 bits: scaled.

    libjpeg-turbo called directly gives the same pixels as PIL for a JPEG in RGB or grey, in two thirds of the time. PIL
    decodes the rest: other formats, CMYK, files that libjpeg warns about. Raises TooCostlyError, a ValueError, before
    anything is decoded that costs too much.
    """
    image_cost.check(data)
    if data.startswith(JPEG):
        try:
            _, _, space, _ = simplejpeg.decode_jpeg_header(data)
            if space in ("YCbCr", "Gray"):
                return simplejpeg.decode_jpeg(data, "RGB")  # type: ignore[no-any-return]
        except ValueError:
            pass
    with open_image(data) as image:
        return _to_rgb(to_8_bit(image))


def _to_rgb(image: Image.Image) -> RGBArray:
    """A few rows at a time, so that a large image is not held a third time."""
    rows = max(1, _BAND // image.width)
    if rows >= image.height:
        return np.array(image.convert("RGB"))
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        pixels[top : top + rows] = np.asarray(band.convert("RGB"))
    return pixels


def normaliser(data: Mapping[str, Any]) -> Callable[[Tensor], Tensor]:
    """(B, 3, H, W) uint8 to float32, with torchvision's to_tensor and Normalize, value for value."""
    _, normalize = split_transform(data)
    mean = torch.as_tensor(normalize.mean, dtype=torch.float32).view(1, 3, 1, 1)
    std = torch.as_tensor(normalize.std, dtype=torch.float32).view(1, 3, 1, 1)

    def normalise(pixels_B3HW: Tensor) -> Tensor:
        device = pixels_B3HW.device
        return pixels_B3HW.to(torch.float32).div_(255).sub_(mean.to(device)).div_(std.to(device))

    return normalise


def describe_transform(data: Mapping[str, Any]) -> str:
    """timm's transform in one line, for metadata and cache keys."""
    return f"{resize_key(data)} mean={tuple(data['mean'])} std={tuple(data['std'])}"


def resize_key(data: Mapping[str, Any]) -> str:
    """The steps of timm's transform that make the pixels of a crop, in one line."""
    return " ".join(" ".join(str(step).split()) for step in split_transform(data)[0].transforms)
