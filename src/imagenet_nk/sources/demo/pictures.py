"""Drawn pictures: every class has a look of its own (colours, ground, motif, layout), every picture its own variation.

Pure: a picture depends on (wnid, serial) and VERSION alone.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from imagenet_nk.sources.demo.shapes import GROUNDS, LAYOUTS, MOTIFS, Colour, Draw, Points, blend, oklch

VERSION = 1  # another drawing is another data set
SMALLEST, LARGEST = 200, 320  # pixels of a side
_OVERSAMPLING = 2  # drawn so many times larger, then reduced: smooth edges


@dataclass(frozen=True)
class Look:
    """What all pictures of a class have in common."""

    ground: int
    motif: int
    layout: int
    points: int
    tilt: float  # degrees
    hue: float  # of the ground, in turns
    lightness: float  # of the ground
    contrast: float  # hue of the motifs, turns from that of the ground
    accent: float  # hue of the motifs' hearts, the same


def look_of(wnid: str) -> Look:
    """The look of a class."""
    random = Random(f"demo {VERSION} {wnid}")
    return Look(
        ground=random.randrange(len(GROUNDS)),
        motif=random.randrange(len(MOTIFS)),
        layout=random.randrange(len(LAYOUTS)),
        points=random.randint(5, 8),
        tilt=random.uniform(-20, 20),
        hue=random.random(),
        lightness=random.choice((0.32, 0.48, 0.68, 0.86)),
        contrast=random.choice((0.33, 0.42, 0.5, 0.58, 0.67)),
        accent=random.choice((0.08, 0.17, 0.75, 0.9)),
    )


def draw_picture(wnid: str, serial: int) -> Image.Image:
    """An RGB picture, 200 to 320 pixels a side."""
    kind, random = look_of(wnid), Random(f"demo {VERSION} {wnid} {serial}")
    size = random.randint(SMALLEST, LARGEST), random.randint(SMALLEST, LARGEST)
    large = size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING
    hue, light = kind.hue + random.uniform(-0.015, 0.015), kind.lightness + random.uniform(-0.03, 0.03)
    canvas = blend(large, oklch(light, 0.09, hue), oklch(light + 0.07, 0.07, hue + 0.04), random.uniform(-30, 30))
    draw = ImageDraw.Draw(canvas)
    GROUNDS[kind.ground](draw, large, oklch(light - 0.06, 0.10, hue + 0.02), random)
    _draw_motifs(draw, large, kind, (hue, light), random)
    return _darken_corners(canvas).reduce(_OVERSAMPLING)


def _draw_motifs(draw: Draw, size: tuple[int, int], kind: Look, ground: tuple[float, float], random: Random) -> None:
    hue, light = ground
    bright = 0.74 if light < 0.6 else 0.55
    shadow = oklch(light - 0.14, 0.09, hue)
    layers = (
        (1.0, oklch(bright, 0.15, hue + kind.contrast)),
        (0.7, oklch(bright + 0.13, 0.12, hue + kind.contrast + 0.06)),
        (0.38, oklch(bright + 0.22, 0.13, hue + kind.accent)),
    )
    outline, side = MOTIFS[kind.motif](kind.points), min(size)
    zoom, dx, dy = random.uniform(0.85, 1.12), random.uniform(-0.07, 0.07), random.uniform(-0.07, 0.07)
    for x, y, scale in LAYOUTS[kind.layout]:
        centre = (
            size[0] / 2 + side * (zoom * x + dx + random.uniform(-0.025, 0.025)),
            size[1] / 2 + side * (zoom * y + dy + random.uniform(-0.025, 0.025)),
        )
        radius, angle = side * scale * zoom * random.uniform(0.85, 1.12), kind.tilt + random.uniform(-22, 22)
        _draw_polygon(draw, outline, (centre[0] + 0.06 * radius, centre[1] + 0.09 * radius), radius, angle, shadow)
        for share, colour in layers:
            _draw_polygon(draw, outline, centre, share * radius, angle, colour)


def _draw_polygon(
    draw: Draw, outline: Points, centre: tuple[float, float], radius: float, angle: float, colour: Colour
) -> None:
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    placed = outline @ np.array([[cos, sin], [-sin, cos]]) * radius + np.array(centre)
    draw.polygon([(float(x), float(y)) for x, y in placed], fill=colour)


def _darken_corners(canvas: Image.Image) -> Image.Image:
    """The canvas with its corners a little darker."""
    corners = Image.radial_gradient("L").point([max(0, value - 110) // 2 for value in range(256)])
    return Image.composite(Image.new("RGB", canvas.size, (12, 10, 24)), canvas, corners.resize(canvas.size))


def encode(wnid: str, serial: int) -> bytes:
    """The file of a picture: JPEG four times in five, else PNG, WebP, GIF or BMP."""
    random, file = Random(f"demo file {wnid} {serial}"), io.BytesIO()
    form = random.choices(("JPEG", "PNG", "WEBP", "GIF", "BMP"), (80, 6, 6, 4, 4))[0]
    options = {"quality": random.randint(82, 93), "progressive": random.random() < 0.3} if form == "JPEG" else {}
    draw_picture(wnid, serial).save(file, form, **options)
    return file.getvalue()
