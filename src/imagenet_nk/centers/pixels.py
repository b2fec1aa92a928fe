"""From the bytes of an image to the pixels that a backbone is given: timm's own evaluation transform.

The transform is cut in two. Resize and crop give uint8 pixels, image by image; division by 255 and normalisation are
done for a whole batch, in the same float32 operations.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from PIL import Image
from timm.data import create_transform
from timm.data.transforms import MaybeToTensor
from torch import Tensor
from torchvision.transforms import Compose, Normalize

from imagenet_nk.errors import BackboneError

Pixels = NDArray[np.uint8]  # (H, W, 3)
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)


class Crops(Protocol):
    """How bytes become the pixels of a crop; GIL-free where the time goes, so that threads share the cores."""

    identity: str  # everything that its pixels depend on

    def __call__(self, data: bytes) -> Pixels:
        """(H, W, 3) RGB. Raises one of UNREADABLE for bytes that are no whole image."""


class Exact:
    """The pixels of timm's transform, bit for bit: PIL's resize over PIL's decoder, or over one that agrees with it."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.resize, _ = halves(data)
        self.identity = description(data)

    def __call__(self, data: bytes) -> Pixels:
        return np.asarray(self.resize(Image.fromarray(decode(data))))


def halves(data: Mapping[str, Any]) -> tuple[Callable[[Image.Image], Image.Image], Normalize]:
    """timm's transform cut where pixels become floats. Raises BackboneError if it has another form."""
    steps = create_transform(**data, is_training=False).transforms
    if len(steps) < 2 or not isinstance(steps[-2], MaybeToTensor) or not isinstance(steps[-1], Normalize):
        names = ", ".join(type(step).__name__ for step in steps)
        raise BackboneError(f"timm's transform of this model is not resize, crop, tensor, normalise but {names}")
    return Compose(steps[:-2]), steps[-1]


def decode(data: bytes) -> Pixels:
    """(H, W, 3) RGB, what `Image.open(...).convert("RGB")` gives.

    libjpeg-turbo called directly gives PIL's very pixels of a JPEG in RGB or grey, in two thirds of the time; what it
    declines (other formats, CMYK, a file that libjpeg only warns about) goes to PIL.
    """
    if data[:3] == b"\xff\xd8\xff":
        try:
            _, _, space, _ = simplejpeg.decode_jpeg_header(data)
            if space in ("YCbCr", "Gray"):
                return simplejpeg.decode_jpeg(data, "RGB")  # type: ignore[no-any-return]
        except ValueError:
            pass
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def normaliser(data: Mapping[str, Any]) -> Callable[[Tensor], Tensor]:
    """(B, 3, H, W) uint8 to float32, with torchvision's to_tensor and Normalize, value for value."""
    _, normalize = halves(data)
    mean = torch.as_tensor(normalize.mean, dtype=torch.float32).view(1, 3, 1, 1)
    std = torch.as_tensor(normalize.std, dtype=torch.float32).view(1, 3, 1, 1)

    def normalise(pixels_B3HW: Tensor) -> Tensor:
        device = pixels_B3HW.device
        return pixels_B3HW.to(torch.float32).div_(255).sub_(mean.to(device)).div_(std.to(device))

    return normalise


def description(data: Mapping[str, Any]) -> str:
    """timm's transform in one line, for metadata and for telling runs apart."""
    return " ".join(" ".join(str(step).split()) for step in create_transform(**data, is_training=False).transforms)
