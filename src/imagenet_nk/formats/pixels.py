"""Pixels of any image that Pillow reads, as 8-bit RGB: the one conversion of inspection, centers, lists and report."""

from __future__ import annotations

import io
from contextlib import suppress
from functools import cache
from importlib import import_module

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

_BAND = 2**21  # pixels that are scaled together
_SCALES = (1.0, 255.0, 65535.0)  # white, by the value ranges that are in use; the first is for floats only
_PLUGINS = ("pillow_heif", "pillow_jxl")  # codecs that Pillow itself lacks, if they are installed


def open_image(data: bytes) -> Image.Image:
    """`Image.open`, with every codec that is installed. Price the image first, by image_cost.check()."""
    _register_plugins()
    return Image.open(io.BytesIO(data))


def to_rgb(image: Image.Image) -> Image.Image:
    """The image in RGB: what `convert("RGB")` gives for 8-bit modes, and scaled to 8 bits for all deeper ones."""
    return to_8_bit(image).convert("RGB")


def to_8_bit(image: Image.Image) -> Image.Image:
    """The image itself if its channels have 8 bits, else in mode L, scaled; Pillow alone would clip it to white.

    White is 65535 for 16 bits. Whole numbers (I) and floats (F) say no range: theirs is the smallest of 0..1 (F only),
    0..255 and 0..65535 that holds all values, else from the lowest to the highest; values that are no number are black.
    """
    if image.mode == "La":  # grey with its alpha multiplied in
        return image.convert("LA")
    if image.mode[0] not in "IF":
        return image
    values = np.asarray(image)
    low, high = (0.0, 65535.0) if image.mode.startswith("I;16") else _range(values, is_float=image.mode == "F")
    grey = Image.new("L", image.size)
    rows = max(1, _BAND // max(1, image.width))
    for top in range(0, image.height, rows):
        part = np.nan_to_num(values[top : top + rows].astype(np.float64), nan=low, posinf=high, neginf=low)
        scaled = np.rint((part - low) * (255 / (high - low))).clip(0, 255).astype(np.uint8)
        grey.paste(Image.fromarray(scaled), (0, top))
    return grey


@cache
def has_codec(format_: str) -> bool:
    """Whether Pillow, as it is installed, can decode a format such as AVIF, HEIF or JXL."""
    if format_ == "AVIF":
        return bool(features.check("avif"))
    _register_plugins()
    Image.init()
    return format_ in Image.OPEN


@cache
def _register_plugins() -> None:
    for name in _PLUGINS:
        with suppress(ImportError):
            plugin = import_module(name)
            getattr(plugin, "register_heif_opener", lambda: None)()


def _range(values: NDArray[np.number], *, is_float: bool) -> tuple[float, float]:
    """(black, white)."""
    finite = values[np.isfinite(values)] if is_float else values
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if low >= 0 and (white := next((scale for scale in _SCALES[not is_float :] if high <= scale), None)):
        return 0.0, white
    return low, max(high, low + 1)
