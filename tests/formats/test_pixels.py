"""Pixels deeper than 8 bits: the same grey in inspection, in centers and in ImageList."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from collect import pictures
from imagenet_nk.collect.fetching.inspector import ImageInfo, Inspector
from imagenet_nk.config import InspectConfig
from imagenet_nk.formats import pixels
from imagenet_nk.formats.magic import sniff
from imagenet_nk.lists.torch_dataset import load_rgb
from imagenet_nk.preprocessing.transforms import decode
from imagenet_nk.reasons import Rejected

RAMP = np.linspace(0, 255, 64 * 48).round().reshape(48, 64)  # grey levels, as 8 bits hold them
DEEP = {
    "16-bit PNG": (RAMP * 257, "u2", "PNG"),
    "16-bit TIFF": (RAMP * 257, "u2", "TIFF"),
    "I to 65535": (RAMP * 257, "i4", "TIFF"),
    "I to 255": (RAMP, "i4", "TIFF"),
    "I beyond all": ((RAMP - 100) * 1e6, "i4", "TIFF"),
    "F to 1": (RAMP / 255, "f4", "TIFF"),
    "F to 255": (RAMP, "f4", "TIFF"),
    "F below 0": (RAMP / 100 - 1, "f4", "TIFF"),
}


def encoded(values: np.ndarray, kind: str, format_: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values.round().astype(kind) if kind[0] != "f" else values.astype(kind)).save(buffer, format_)
    return buffer.getvalue()


@pytest.mark.parametrize("case", DEEP)
def test_deep_pixels_are_scaled_alike_in_inspection_centers_and_lists(tmp_path: Path, case: str) -> None:
    data = encoded(*DEEP[case])
    (tmp_path / "x").write_bytes(data)
    for rgb in (decode(data), np.asarray(load_rgb(tmp_path / "x"))):
        assert np.array_equal(rgb, RAMP.astype(np.uint8)[..., None].repeat(3, axis=2))
    deep, plain = (Inspector(InspectConfig(min_side=8)).inspect(d) for d in (data, encoded(RAMP, "u1", "PNG")))
    assert isinstance(deep, ImageInfo)
    assert isinstance(plain, ImageInfo)
    assert deep.dhash == plain.dhash


def test_a_dark_16_bit_image_stays_dark() -> None:
    assert decode(encoded(RAMP, "u2", "PNG")).max() == 1


def test_values_that_are_no_number_are_black() -> None:
    values = RAMP / 255
    values[0, :3] = [np.nan, np.inf, -np.inf]
    assert decode(encoded(values, "f4", "TIFF"))[0, :3, 0].tolist() == [0, 255, 0]
    assert decode(encoded(np.full((48, 64), np.nan), "f4", "TIFF")).max() == 0


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "PA", "RGBa", "LAB"])
def test_8_bit_modes_are_what_pillow_makes_of_them(mode: str) -> None:
    image = pictures.image("x", mode="RGB").convert({"RGBa": "RGBA", "LAB": "RGB"}.get(mode, mode))
    image = image.convert(mode) if mode == "RGBa" else image
    assert pixels.to_rgb(image).tobytes() == image.convert("RGB").tobytes()


def test_premultiplied_grey_is_read() -> None:
    grey = pictures.image("x", mode="LA")
    assert pixels.to_rgb(grey.convert("La")).tobytes() == grey.convert("RGB").tobytes()


def test_a_large_deep_image_is_scaled_band_by_band() -> None:
    wide = np.tile(np.arange(65536, dtype=np.uint16), (70, 1))  # more than two bands
    grey = np.asarray(pixels.to_8_bit(Image.fromarray(wide)))
    assert np.array_equal(grey[-1], np.rint(np.arange(65536) / 257).astype(np.uint8))
    assert (grey == grey[0]).all()


# --- formats that need a codec


def ftyp(brand: bytes, *others: bytes) -> bytes:
    body = b"ftyp" + brand + b"\0\0\0\0" + b"".join(others)
    return (len(body) + 4).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    ("data", "format_"),
    [
        (ftyp(b"avif", b"mif1"), "AVIF"),
        (ftyp(b"mif1", b"miaf", b"avif"), "AVIF"),
        (ftyp(b"heic", b"mif1"), "HEIF"),
        (ftyp(b"mif1", b"heic"), "HEIF"),
        (b"\xff\x0a" + b"\0" * 20, "JXL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JXL"),
        (ftyp(b"isom", b"mp42"), None),
    ],
)
def test_formats_are_known_by_their_first_bytes(data: bytes, format_: str | None) -> None:
    assert sniff(data) == format_
    if format_ and not pixels.has_codec(format_):
        verdict = Inspector(InspectConfig()).inspect(data)
        assert verdict == Rejected("no_codec", detail=f"{format_}: Pillow lacks its codec")


@pytest.mark.skipif(not pixels.has_codec("AVIF"), reason="this Pillow has no AVIF")
def test_avif_is_read_where_pillow_has_it(tmp_path: Path) -> None:
    data = pictures.encoded("x", "AVIF", quality=90)
    (tmp_path / "x.avif").write_bytes(data)
    found = Inspector(InspectConfig()).inspect(data)
    assert isinstance(found, ImageInfo)
    assert (found.format, found.file_name("x")) == ("AVIF", "x.avif")
    assert np.array_equal(decode(data), np.asarray(load_rgb(tmp_path / "x.avif")))
    assert Inspector(InspectConfig()).inspect(data[: len(data) // 2]).reason in {"corrupt", "truncated"}  # type: ignore[union-attr]
