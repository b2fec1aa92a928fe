from __future__ import annotations

import hashlib
import io
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from collect import pictures
from imagenet_nk.collect.fetching import inspector as inspection
from imagenet_nk.collect.fetching.inspector import ImageInfo, Inspector, dhash
from imagenet_nk.collect.scheduling.acceptance import is_near_duplicate
from imagenet_nk.config import InspectConfig
from imagenet_nk.formats.magic import EXTENSIONS, sniff
from imagenet_nk.reasons import Rejected


def inspect(data: bytes) -> ImageInfo | Rejected:
    return Inspector(InspectConfig()).inspect(data)


def reason(data: bytes, **config: object) -> str:
    verdict = Inspector(InspectConfig(**config)).inspect(data)  # type: ignore[arg-type]
    return verdict.reason if isinstance(verdict, Rejected) else ""


def accepted(data: bytes) -> ImageInfo:
    verdict = inspect(data)
    assert isinstance(verdict, ImageInfo), verdict
    return verdict


# --- what is an image


@pytest.mark.parametrize(
    ("format_", "mode"),
    [
        *[("JPEG", mode) for mode in ("RGB", "L", "CMYK")],
        *[("PNG", mode) for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16")],
        *[("GIF", mode) for mode in ("P", "L")],
        *[("WEBP", mode) for mode in ("RGB", "RGBA")],
        *[("BMP", mode) for mode in ("RGB", "L", "P", "1")],
        *[("TIFF", mode) for mode in ("RGB", "L", "CMYK", "P", "1", "F", "LAB", "I;16")],
    ],
)
def test_every_format_and_mode_is_accepted(format_: str, mode: str) -> None:
    data = pictures.encoded("x", format_, mode)
    picture = accepted(data)
    assert (picture.format, picture.width, picture.height) == (format_, 64, 48)
    assert picture.file_name("x") == f"x.{EXTENSIONS[format_]}"
    assert picture.sha256 == hashlib.sha256(data).hexdigest()
    if (format_, mode) not in {("GIF", "L"), ("WEBP", "RGBA")} and mode != "I;16":
        assert picture.mode == mode


@pytest.mark.parametrize(
    "options", [{"progressive": True}, {"subsampling": 0}, {"quality": 5}, {"restart_marker_rows": 1}]
)
def test_jpegs_of_all_kinds(options: dict[str, object]) -> None:
    assert accepted(pictures.encoded("x", "JPEG", **options)).format == "JPEG"


def test_first_frame_of_several_counts() -> None:
    for format_ in ("GIF", "PNG", "WEBP", "TIFF"):
        data = pictures.encoded("x", format_, save_all=True, append_images=[pictures.image("y")])
        assert (accepted(data).format, accepted(data).width) == (format_, 64)


def test_broken_metadata_is_ignored() -> None:
    exif = b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\xff" * 50
    assert accepted(pictures.encoded("x", "JPEG", exif=exif))
    assert accepted(pictures.encoded("x", "PNG", exif=exif))
    assert accepted(pictures.encoded("x", "JPEG", icc_profile=b"nonsense"))


def test_format_is_taken_from_the_bytes() -> None:
    assert accepted(pictures.encoded("x", "PNG")).format == "PNG"  # as n02105855_2933.JPEG of ILSVRC2012 is one


def test_bytes_after_the_end_are_accepted() -> None:
    data = pictures.jpeg("x")
    for behind in (b"\0" * 500, b"PK\x03\x04" + b"z" * 200, b"<script>alert(1)</script>"):
        assert accepted(data + behind).pixels == accepted(data).pixels


# --- what is none


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"\xff\xd8",
        b"<!DOCTYPE html><html><body>gone</body></html>",
        b"%PDF-1.4 \xff\xd8\xff\xe0",
        b"PK\x03\x04" + pictures.jpeg("x"),
        b"\n" + pictures.jpeg("x"),
        b"RIFF\0\0\0\0WAVE",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\0\0\0\x1cftypisom",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n",
        b"P6 64 48 255 " + b"\1" * 64 * 48 * 3,
    ],
)
def test_other_first_bytes_are_not_image(data: bytes) -> None:
    assert reason(data) == "not_image"


@pytest.mark.parametrize("format_", pictures.FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_truncated_image_is_rejected(format_: str, share: float) -> None:
    data = pictures.encoded("x", format_, **({"quality": 90} if format_ == "JPEG" else {}))
    assert reason(data[: max(12, int(len(data) * share))]) in ("truncated", "corrupt", "not_image", "too_small")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_jpeg_cut_short_in_its_scan_is_truncated(share: float) -> None:
    data = pictures.encoded("x", "JPEG", quality=95)
    start, end = pictures.scan_positions(data)
    assert reason(data[: start + int((end - start) * share)]) == "truncated"
    assert reason(data[:start] + data[end:]) in ("truncated", "corrupt")


def test_damaged_scans_are_rejected() -> None:
    """As the broken web makes them: a stretch of the scan is noise. Not one of these passes."""
    generator = random.Random(0)
    passed = 0
    for number in range(30):
        data = pictures.encoded(number, "JPEG", size=(500, 375), quality=92)
        start, end = pictures.scan_positions(data)
        first, last = start + (end - start) * 2 // 5, start + (end - start) * 4 // 5
        passed += reason(data[:first] + generator.randbytes(last - first) + data[last:]) == ""
    assert passed == 0


@pytest.mark.parametrize("format_", ["PNG", "WEBP", "GIF", "TIFF", "JPEG"])
def test_noise_after_a_valid_header_is_rejected(format_: str) -> None:
    head = pictures.encoded("x", format_)[:24]
    for seed in range(20):
        assert reason(head + random.Random(seed).randbytes(5000)) in ("truncated", "corrupt", "too_large", "too_small")


def test_image_of_one_colour_is_blank() -> None:
    for format_ in pictures.FORMATS:
        buffer = io.BytesIO()
        Image.new("RGB", (100, 80), (200, 10, 10)).save(buffer, format_)
        assert reason(buffer.getvalue()) == "blank", format_


def test_one_spot_is_not_blank() -> None:
    pixels = np.full((100, 80, 3), 200, dtype=np.uint8)
    pixels[40:60, 40:60] = 10
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    assert reason(buffer.getvalue()) == ""


# --- sizes


def test_side_shorter_than_min_side_is_too_small() -> None:
    for format_ in pictures.FORMATS:
        data = pictures.encoded("x", format_)
        assert reason(data, min_side=48) == "", format_
        assert reason(data, min_side=49) == "too_small", format_
    assert reason(pictures.encoded("x", "GIF").replace(b"\x40\0\x30\0", b"\1\0\1\0", 1)) in ("too_small", "corrupt", "")


@pytest.mark.parametrize(
    "data",
    [
        pictures.png_header(100_000, 100_000),
        pictures.png_header(2**31 - 1, 2**31 - 1),
        b"BM" + bytes(12) + b"\x28\0\0\0" + (60_000).to_bytes(4, "little") * 2 + b"\1\0\x18\0" + bytes(100),
        b"GIF89a\xff\xff\xff\xff\x80\0\0" + bytes(6) + b",\0\0\0\0\xff\xff\xff\xff\0\2\2D\1\0;",
    ],
)
def test_decompression_bomb_is_rejected_by_its_header(data: bytes) -> None:
    assert reason(data) == "too_large"


def test_a_jpeg_that_claims_a_huge_frame_is_too_large() -> None:
    data = bytearray(pictures.jpeg("x"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = (65_000).to_bytes(2, "big") * 2
    assert reason(bytes(data)) == "too_large"


def test_more_pixels_than_max_pixels_is_too_large() -> None:
    assert reason(pictures.encoded("x", "PNG"), max_pixels=64 * 48 - 1) == "too_large"
    assert reason(pictures.jpeg("x"), max_pixels=64 * 48 - 1) == "too_large"


def test_ten_thousand_scans_are_not_decoded() -> None:
    """Each scan of a progressive JPEG costs a pass over all coefficients; 10 kB could cost minutes."""
    data = pictures.encoded("x", "JPEG", progressive=True)
    start = data.index(b"\xff\xda")
    end = data.index(b"\xff", start + 14)
    while data[end + 1] == 0:
        end = data.index(b"\xff", end + 1)
    assert reason(data[:end] + data[start:end] * 10_000 + data[end:]) == "too_large"


# --- memory


@pytest.mark.parametrize(
    ("format_", "mode"), [("PNG", "RGBA"), ("PNG", "P"), ("GIF", "P"), ("TIFF", "CMYK"), ("BMP", "1")]
)
def test_verdict_does_not_depend_on_the_band_size(format_: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pictures.encoded("x", format_, mode)
    whole = accepted(data)
    monkeypatch.setattr(inspection, "_BAND", 5 * 64)
    assert accepted(data) == whole


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_two_bands_of_one_colour_each_are_not_blank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "_BAND", 64 * 32)
    image = Image.new("RGB", (64, 64), "red")
    assert reason(_png(image)) == "blank"
    image.paste("blue", (0, 32, 64, 64))
    assert reason(_png(image)) == ""


def test_large_images_are_decoded_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "_LARGE", 64 * 48 - 1)
    inside, most, load = list[int](), list[int](), inspection._inspect_in_bands

    def slowly(*args: Any) -> ImageInfo | Rejected:
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.05)
        inside.pop()
        return load(*args)

    monkeypatch.setattr(inspection, "_inspect_in_bands", slowly)
    inspector, data = Inspector(InspectConfig()), pictures.encoded("x", "PNG", "RGB")
    with ThreadPoolExecutor(4) as pool:
        verdicts = list(pool.map(inspector.inspect, [data] * 4))
    assert set(map(type, verdicts)) == {ImageInfo}
    assert max(most) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="limits address space")
def test_lack_of_memory_is_an_error_and_no_rejection(tmp_path: Path) -> None:
    file = tmp_path / "large.png"
    image = Image.new("RGB", (8000, 8000), "red")
    image.paste("blue", (0, 0, 4000, 8000))
    image.save(file, compress_level=1)
    script = (  # 100 MB more than Python holds with all that it has imported
        "import resource, sys; from pathlib import Path; "
        "from imagenet_nk.collect.fetching.inspector import Inspector; from imagenet_nk.config import InspectConfig; "
        "held = 4096 * int(Path('/proc/self/statm').read_text().split()[0]) + 100_000_000; "
        "resource.setrlimit(resource.RLIMIT_AS, (held, held)); "
        "print(Inspector(InspectConfig()).inspect(Path(sys.argv[1]).read_bytes()))"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(file)], capture_output=True, text=True, check=False)
    assert "DatasetError: too little memory is left to decode a large image" in ended.stderr, ended


# --- what is compared


def test_equal_pixels_under_other_bytes_have_equal_hashes() -> None:
    plain = pictures.encoded("x", "PNG")
    packed = pictures.encoded("x", "PNG", compress_level=1, pnginfo=None)
    assert plain != packed
    assert accepted(plain).pixels == accepted(packed).pixels
    assert accepted(plain).pixels != accepted(pictures.encoded("y", "PNG")).pixels
    jpeg = pictures.jpeg("x")
    assert accepted(jpeg).pixels == accepted(jpeg[:2] + b"\xff\xfe\0\6abcd" + jpeg[2:]).pixels  # a comment


def test_difference_hash_survives_another_size_and_quality() -> None:
    big = Image.fromarray(pictures.array("x", 72, 64)).resize((320, 240), Image.Resampling.BICUBIC)
    hashes = []
    for size, quality in (((320, 240), 95), ((160, 120), 60)):
        buffer = io.BytesIO()
        big.resize(size).save(buffer, "JPEG", quality=quality)
        hashes.append(accepted(buffer.getvalue()).dhash)
    assert is_near_duplicate(hashes[0], [hashes[1]], 6)
    assert not is_near_duplicate(hashes[0], [accepted(pictures.jpeg("other")).dhash], 6)
    assert dhash(pictures.array("x")) == dhash(pictures.array("x"))


@pytest.mark.parametrize(
    ("url", "known"),
    [
        ("https://s.yimg.test/pw/images/en-us/photo_unavailable.png", True),
        ("http://a.test/Photo_Unavailable_l.GIF", True),
        ("http://a.test/image-not-found.jpg", False),
        ("http://a.test/image_not_available.gif", True),
        ("http://i.imgur.test/removed.png", True),
        ("http://a.test/photo.jpg", False),
        ("", False),
    ],
)
def test_placeholder_url_is_rejected(url: str, known: bool) -> None:
    assert (Inspector(InspectConfig()).url_verdict(url) is not None) is known
    assert Inspector(InspectConfig(placeholder_urls=[])).url_verdict(url) is None


# --- anything at all


starts = st.sampled_from(
    [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\x40\0\0\0WEBPVP8 ", b"BM", b"II*\0", b"MM\0*"]
)


@settings(max_examples=200, deadline=None)
@given(start=starts, rest=st.binary(max_size=400))
def test_any_bytes_get_a_verdict(start: bytes, rest: bytes) -> None:
    verdict = inspect(start + rest)
    assert isinstance(verdict, ImageInfo | Rejected)


@settings(max_examples=150, deadline=None)
@given(
    format_=st.sampled_from(pictures.FORMATS),
    edits=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=4)), min_size=1, max_size=8),
)
def test_any_damaged_image_gets_a_verdict(format_: str, edits: list[tuple[float, bytes]]) -> None:
    data = bytearray(pictures.encoded("x", format_))
    for where, what in edits:
        at = int(where * (len(data) - 1))
        data[at : at + len(what)] = what
    verdict = inspect(bytes(data))
    assert isinstance(verdict, ImageInfo | Rejected)
    assert isinstance(verdict, Rejected) or sniff(bytes(data)) == verdict.format


@pytest.mark.real
def test_real_photographs_are_accepted(shared: Path) -> None:
    photographs = sorted((shared / "data" / "imagenet-samples").glob("*.JPEG"))
    assert len(photographs) == 1000
    lost = {path.name: verdict for path in photographs if isinstance(verdict := inspect(path.read_bytes()), Rejected)}
    assert lost == {}
