"""Images are priced by their structure before anything is decoded."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from collect import pictures
from formats import image_attacks
from imagenet_nk.collect.fetching.inspector import Inspector
from imagenet_nk.config import InspectConfig
from imagenet_nk.errors import ListError
from imagenet_nk.formats import image_cost
from imagenet_nk.formats.magic import sniff
from imagenet_nk.formats.pixels import to_rgb
from imagenet_nk.lists.torch_dataset import load_rgb
from imagenet_nk.preprocessing.transforms import decode
from imagenet_nk.reasons import Reason, Rejected
from imagenet_nk.report.thumbnails import thumbnail


@pytest.fixture
def no_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever decodes is an error of the test."""

    def decoder(*_: object, **__: object) -> Any:
        raise AssertionError("it was decoded")

    for module, name in ((Image, "open"), (simplejpeg, "decode_jpeg"), (simplejpeg, "decode_jpeg_header")):
        monkeypatch.setattr(module, name, decoder)


def test_there_are_a_hundred_attacks() -> None:
    assert len(image_attacks.ATTACKS) >= 100


@pytest.mark.usefixtures("no_decoder")
@pytest.mark.parametrize("attack", image_attacks.ATTACKS.values(), ids=image_attacks.ATTACKS.keys())
def test_costly_image_is_refused_without_decoding(attack: Callable[[], bytes]) -> None:
    data = attack()
    verdict = Inspector(InspectConfig()).inspect(data)
    assert isinstance(verdict, Rejected)
    assert verdict.reason == Reason.TOO_LARGE
    assert verdict.detail


@pytest.mark.usefixtures("no_decoder")
@pytest.mark.parametrize(
    "name", ["png of 16 bits RGBA, 10,000 x 10,000", "webp VP8L 10000 x 10000", "tiff of tiny tiles"]
)
def test_embedding_lists_and_thumbnails_refuse_it_too(name: str, tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(data := image_attacks.ATTACKS[name]())
    with pytest.raises(image_cost.TooCostlyError, match="too large: "):
        decode(data)
    with pytest.raises(ListError, match="too large: "):
        load_rgb(file)
    assert thumbnail(file) is None


MODES = {
    "JPEG": ("RGB", "L", "CMYK"),
    "PNG": ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"),
    "GIF": ("P", "L"),
    "WEBP": ("RGB", "RGBA"),
    "BMP": ("RGB", "L", "P", "1"),
    "TIFF": ("RGB", "L", "CMYK", "P", "1", "F", "LAB", "I;16"),
    "AVIF": ("RGB", "RGBA"),
}


@pytest.mark.parametrize(("format_", "mode"), [(format_, mode) for format_ in MODES for mode in MODES[format_]])
@pytest.mark.parametrize("band", [2**21, 64 * 5])
def test_ordinary_image_has_the_pixels_of_pillow(
    format_: str, mode: str, band: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagenet_nk.preprocessing.transforms._BAND", band)
    data = pictures.encoded("x", format_, mode)
    cost = image_cost.estimate(data, sniff(data))
    assert (cost.width, cost.height, cost.excess) == (64, 48, "")
    expected = np.array(to_rgb(Image.open(io.BytesIO(data))))
    assert np.array_equal(decode(data), expected)
    file = tmp_path / "x"
    file.write_bytes(data)
    assert np.array_equal(np.array(load_rgb(file)), expected)


@pytest.mark.parametrize(
    ("format_", "options"),
    [
        *[("TIFF", {"compression": name}) for name in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "zstd", "lzma")],
        *[("JPEG", {"progressive": True, "subsampling": number}) for number in (0, 1, 2)],
        *[("JPEG", {"restart_marker_rows": 1}), ("PNG", {"compress_level": 0}), ("WEBP", {"lossless": True})],
        *[(name, {"save_all": True, "append_images": [pictures.image("y", 640, 480)]}) for name in ("GIF", "PNG")],
    ],
)  # fmt: skip
def test_estimate_is_small_for_ordinary_images(format_: str, options: dict[str, Any]) -> None:
    data = pictures.encoded("x", format_, size=(640, 480), **options)
    cost = image_cost.estimate(data, format_)
    assert (cost.width, cost.height) == (640, 480)
    assert cost.seconds < 0.05
    assert cost.memory < 20e6


def test_the_largest_photograph_of_imagenet_is_not_refused() -> None:
    """9,331 x 6,530 pixels; so large a progressive JPEG of the usual subsampling passes as well."""
    for kind, scans in ((0xC0, 1), (0xC2, 10)):
        data = image_attacks.copies(9_331, 6_530, scans, kind).replace(b"\3\1\x11\0", b"\3\1\x22\0")
        assert image_cost.estimate(data, "JPEG").excess == ""


@pytest.mark.parametrize("attack", list(image_attacks.ATTACKS.values())[::7])
def test_cut_anywhere_it_is_still_an_estimate(attack: Callable[[], bytes]) -> None:
    data = attack()
    for length in (*range(2, 80, 3), 200, 1000):
        image_cost.estimate(data[:length], sniff(data))
