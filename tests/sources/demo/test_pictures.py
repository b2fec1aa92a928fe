from __future__ import annotations

import hashlib
import io
from collections import Counter

import numpy as np
from PIL import Image

from imagenet_nk.sources.demo.pictures import LARGEST, SMALLEST, draw_picture, encode, look_of
from imagenet_nk.sources.demo.shapes import GROUNDS, LAYOUTS, MOTIFS, oklch

# The first 20 classes of ImageNet-1k: those that the demo draws.
WNIDS = [
    "n01440764", "n01443537", "n01484850", "n01491361", "n01494475",
    "n01496331", "n01498041", "n01514668", "n01514859", "n01518878",
    "n01530575", "n01531178", "n01532829", "n01534433", "n01537544",
    "n01558993", "n01560419", "n01580077", "n01582220", "n01592084",
]  # fmt: skip


def test_picture_depends_on_class_and_serial_alone() -> None:
    first = encode("n01440764", 3)
    encode("n01443537", 0)
    assert encode("n01440764", 3) == first


def test_all_files_are_whole_and_no_two_are_equal() -> None:
    files = [encode(wnid, serial) for wnid in WNIDS[:5] for serial in range(20)]
    pixels, forms = set(), Counter()
    for data in files:
        with Image.open(io.BytesIO(data)) as image:
            forms[image.format] += 1
            assert SMALLEST <= min(image.size) <= max(image.size) <= LARGEST
            pixels.add(hashlib.sha256(image.convert("RGB").tobytes()).digest())
    assert len(set(files)) == len(pixels) == len(files)
    assert forms["JPEG"] > 60
    assert set(forms) == {"JPEG", "PNG", "WEBP", "GIF", "BMP"}


def test_nearest_class_mean_of_thumbnails_tells_the_classes_apart() -> None:
    thumbnails = np.array(
        [
            [np.asarray(draw_picture(wnid, serial).resize((8, 8)), float).ravel() for serial in range(8)]
            for wnid in WNIDS
        ]
    )  # (20 classes, 8 pictures, 192)
    centers = thumbnails[:, :4].mean(axis=1)
    held_out = thumbnails[:, 4:]
    distances = np.linalg.norm(held_out[:, :, None] - centers, axis=-1)
    assert (distances.argmin(axis=-1) == np.arange(20)[:, None]).mean() > 0.9


def test_every_motif_and_ground_is_used_by_some_class() -> None:
    looks = [look_of(f"n{number:08d}") for number in range(300)]
    assert {kind.ground for kind in looks} == set(range(len(GROUNDS)))
    assert {kind.layout for kind in looks} == set(range(len(LAYOUTS)))
    assert {(kind.motif, kind.points) for kind in looks} == {(m, n) for m in range(len(MOTIFS)) for n in range(5, 9)}
    for kind in looks:
        outline = MOTIFS[kind.motif](kind.points)
        assert outline.shape[1] == 2
        assert np.abs(outline).max() < 1.6


def test_oklch_matches_published_values() -> None:
    for colour, (lightness, chroma, degrees) in {
        (255, 255, 255): (1, 0, 0),
        (0, 0, 0): (0, 0, 0),
        (255, 0, 0): (0.6279, 0.2577, 29.23),
        (0, 0, 255): (0.4520, 0.3132, 264.05),
    }.items():
        assert np.allclose(oklch(lightness, chroma, degrees / 360), colour, atol=2)
