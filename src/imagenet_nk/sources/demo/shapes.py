"""What the drawn pictures are made of: colours, motifs, layouts and grounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Points = NDArray[np.float64]  # (N, 2)
Colour = tuple[int, int, int]
Draw = ImageDraw.ImageDraw
_T = np.linspace(0, 2 * math.pi, 97)[:-1]


def oklch(lightness: float, chroma: float, hue: float) -> Colour:
    """sRGB of a colour given in OKLCH: lightness 0..1, chroma 0..0.3, hue in turns (B. Ottosson, 2020)."""
    a, b = chroma * math.cos(2 * math.pi * hue), chroma * math.sin(2 * math.pi * hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    red, green, blue = (round(255 * max(0.0, min(1.0, x)) ** (1 / 2.2)) for x in linear)
    return red, green, blue


# --- motifs: outlines of about unit size, y downwards; n is the class's number of petals, points or teeth ---------


def _radial(radius: Points) -> Points:
    return np.stack([radius * np.sin(_T), -radius * np.cos(_T)], axis=1)


def _flower(n: int) -> Points:
    return _radial(0.72 + 0.28 * np.cos(n * _T))


def _clover(n: int) -> Points:
    return _radial(0.15 + 0.85 * np.abs(np.cos(n * _T / 2)) ** 0.6)


def _star(n: int) -> Points:
    spikes = np.where(np.arange(2 * n) % 2 == 0, 1.0, 0.45)
    angles = np.arange(2 * n) * math.pi / n
    return np.stack([spikes * np.sin(angles), -spikes * np.cos(angles)], axis=1)


def _gear(n: int) -> Points:
    return _radial(0.86 + 0.14 * np.tanh(6 * np.cos((n + 4) * _T)))


def _polygon(n: int) -> Points:
    corners = max(3, n - 2)
    return _radial(0.9 * math.cos(math.pi / corners) / np.cos((_T % (2 * math.pi / corners)) - math.pi / corners))


def _heart(n: int) -> Points:  # noqa: ARG001
    y = 13 * np.cos(_T) - 5 * np.cos(2 * _T) - 2 * np.cos(3 * _T) - np.cos(4 * _T)
    return np.stack([16 * np.sin(_T) ** 3, -y], axis=1) / 16


def _drop(n: int) -> Points:  # noqa: ARG001
    return np.stack([0.85 * np.sin(_T) * np.sin(_T / 2) ** 1.5, -np.cos(_T)], axis=1)


def _leaf(n: int) -> Points:
    width = 0.3 + 0.04 * n
    return np.stack([width * np.sin(_T) * np.abs(np.sin(_T)) ** 0.6, -np.cos(_T)], axis=1)


def _fish(n: int) -> Points:
    high = 0.9 + 0.08 * n
    return np.stack([np.cos(_T) - np.sin(_T) ** 2 / math.sqrt(2), high * np.cos(_T) * np.sin(_T)], axis=1)


def _moon(n: int) -> Points:  # noqa: ARG001
    out = np.linspace(0.17 * math.pi, 1.83 * math.pi, 48)
    back = np.linspace(1.72 * math.pi, 0.28 * math.pi, 48)
    outer = np.stack([np.cos(out), np.sin(out)], axis=1)
    return np.concatenate([outer, np.stack([0.78 * np.cos(back) + 0.36, 0.78 * np.sin(back)], axis=1)])


def _disc(n: int) -> Points:  # noqa: ARG001
    return _radial(np.full_like(_T, 0.9))


MOTIFS: tuple[Callable[[int], Points], ...] = (
    _flower, _clover, _star, _gear, _polygon, _heart, _drop, _leaf, _fish, _moon, _disc,
)  # fmt: skip


# --- layouts: (x, y, size) of each motif, as shares of the picture's shorter side, from its centre ----------------

_RING = [(0.34 * math.sin(k * math.pi / 3.5), 0.34 * math.cos(k * math.pi / 3.5), 0.13) for k in range(7)]
LAYOUTS: tuple[list[tuple[float, float, float]], ...] = (
    [(0, 0, 0.40)],
    [(-0.17, 0.08, 0.30), (0.22, -0.16, 0.19)],
    [(0, -0.2, 0.2), (-0.23, 0.17, 0.2), (0.23, 0.17, 0.2)],
    [(0.24 * x, 0.24 * y, 0.115) for x in (-1.5, -0.5, 0.5, 1.5) for y in (-1.5, -0.5, 0.5, 1.5)],
    [*_RING, (0, 0, 0.18)],
    [(-0.28, 0.22, 0.15), (-0.1, 0.03, 0.12), (0.1, -0.14, 0.16), (0.3, -0.3, 0.11), (0.28, 0.2, 0.2)],
)


# --- grounds ------------------------------------------------------------------------------------------------------


def blend(size: tuple[int, int], low: Colour, high: Colour, angle: float) -> Image.Image:
    """A picture that runs from one colour to the other, from top to bottom, turned by degrees."""
    ramp = Image.linear_gradient("L").rotate(angle, Image.Resampling.BILINEAR).crop((40, 40, 216, 216)).resize(size)
    return Image.composite(Image.new("RGB", size, high), Image.new("RGB", size, low), ramp)


def _plain(draw: Draw, size: tuple[int, int], colour: Colour, random: Random) -> None:
    """The gradient alone."""


def _stripes(draw: Draw, size: tuple[int, int], colour: Colour, random: Random) -> None:
    slope, wide = random.uniform(0.7, 1.1), size[1] / random.uniform(5, 7)
    for k in range(-12, 24):
        x, lean = 2 * k * wide, slope * size[1]
        draw.polygon([(x, size[1]), (x + wide, size[1]), (x + wide + lean, 0), (x + lean, 0)], fill=colour)


def _dots(draw: Draw, size: tuple[int, int], colour: Colour, random: Random) -> None:
    step, x0, y0 = min(size) / random.uniform(7, 9), random.random(), random.random()
    for row in range(-1, 16):
        for column in range(-1, 16):
            x, y = (column + x0 + 0.5 * (row % 2)) * step, (row + y0) * step
            draw.ellipse([x - 0.26 * step, y - 0.26 * step, x + 0.26 * step, y + 0.26 * step], fill=colour)


def _checks(draw: Draw, size: tuple[int, int], colour: Colour, random: Random) -> None:
    step, x0, y0 = min(size) / random.uniform(5, 7), random.random(), random.random()
    for row in range(-2, 14):
        for column in range(-2 + row % 2, 14, 2):
            x, y = (column + x0) * step, (row + y0) * step
            draw.rectangle([x, y, x + step, y + step], fill=colour)


def _rays(draw: Draw, size: tuple[int, int], colour: Colour, random: Random) -> None:
    x, y = size[0] * random.uniform(0.4, 0.6), size[1] * random.uniform(0.4, 0.6)
    turn, far = random.uniform(0, 30), 2 * max(size)
    for k in range(12):
        draw.pieslice([x - far, y - far, x + far, y + far], turn + 30 * k, turn + 30 * k + 15, fill=colour)


def _rings(draw: Draw, size: tuple[int, int], colour: Colour, random: Random) -> None:
    x, y = size[0] * random.uniform(0.35, 0.65), size[1] * random.uniform(0.35, 0.65)
    step = min(size) / random.uniform(9, 11)
    for k in range(1, 16, 2):
        draw.ellipse([x - k * step, y - k * step, x + k * step, y + k * step], outline=colour, width=int(step))


def _hills(draw: Draw, size: tuple[int, int], colour: Colour, random: Random) -> None:
    for base in (0.62, 0.74, 0.86):
        shift, waves = random.uniform(0, 6.3), random.uniform(1.2, 2.2)
        shade = tuple(int(c * (1.3 - 0.4 * base / 0.86)) for c in colour)
        xs = np.linspace(0, 1, 40)
        ys = base + 0.06 * np.sin(shift + waves * 2 * math.pi * xs)
        ridge = [(x * size[0], y * size[1]) for x, y in zip(xs, ys, strict=True)]
        draw.polygon([(0, size[1]), *ridge, (size[0], size[1])], fill=shade)


def _waves(draw: Draw, size: tuple[int, int], colour: Colour, random: Random) -> None:
    step, shift = min(size) / random.uniform(6, 8), random.uniform(0, 6.3)
    xs = np.linspace(0, size[0], 60)
    for k in range(14):
        ys = (k + 0.28 * np.sin(shift + xs / step * 2.2)) * step
        draw.line([(float(x), float(y)) for x, y in zip(xs, ys, strict=True)], fill=colour, width=int(0.36 * step))


GROUNDS: tuple[Callable[[Draw, tuple[int, int], Colour, Random], None], ...] = (
    _plain, _stripes, _dots, _checks, _rays, _rings, _hills, _waves,
)  # fmt: skip
