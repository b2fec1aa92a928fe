"""What an image costs to decode, from its header and a scan of its structure: a small file may ask for minutes.

Seconds of one core and bytes of memory are upper estimates for the decoders that this program uses (libjpeg-turbo,
Pillow, libwebp, libtiff) and for all that it does with an image; the rates were measured by benchmarks/hostile.py.
Nothing is decompressed, and the scan ends early where it finds too many parts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from imagenet_nk.formats import jpeg_scan, tiff_tags
from imagenet_nk.formats.magic import sniff

MAX_SECONDS, MAX_MEMORY = 2.0, 512 * 2**20  # of one image
MAX_PARTS = 50_000  # chunks of a PNG or a WebP, blocks of a GIF, segments of a JPEG; a scan counts as 50, a tag as one
_NS = 1e-9
_BYTES_PER_PIXEL = 7  # four in Pillow's image, three in an array
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type of a PNG
_EXIF = 2**17  # bytes; a JPEG has them in segments of 65,533
_RUN_LENGTH = (1, 2)  # compressions of a BMP: Pillow decodes them run by run, in Python


class TooCostlyError(ValueError):
    """An image would take too much time or memory to decode."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Upper estimate for one image; width and height are 0 if the header is too damaged to tell."""

    width: int = 0
    height: int = 0
    seconds: float = 0.0
    memory: int = 0  # bytes
    parts: int = 0

    @property
    def excess(self) -> str:
        """What is too much, in a few words; "" if nothing is."""
        size = f"{self.width} x {self.height} pixels"
        if self.parts > MAX_PARTS:
            return f"more than {MAX_PARTS} parts"
        if self.memory > MAX_MEMORY:
            return f"{size}, {self.memory / 1e6:.0f} MB of memory to decode"
        return f"{size}, {self.seconds:.0f} s to decode" if self.seconds > MAX_SECONDS else ""


def check(data: bytes) -> None:
    """Raise TooCostlyError if an image costs too much to decode."""
    if excess := estimate(data, sniff(data)).excess:
        raise TooCostlyError(f"too large: {excess}")


def estimate(data: bytes, format_: str | None) -> Cost:
    """The cost of an image of a format that sniff() found; nothing for other bytes, and for headers cut short."""
    scan = _ESTIMATES.get(format_ or "")
    try:
        return scan(data) if scan else Cost()
    except IndexError:
        return Cost()  # the decoder ends there as well


def _cost(data: bytes, size: tuple[int, int], ns_per_pixel: float, ns_per_byte: float, extra_s: float = 0.0) -> Cost:
    pixels = size[0] * size[1]
    seconds = (pixels * ns_per_pixel + len(data) * ns_per_byte) * _NS + extra_s
    return Cost(*size, seconds, pixels * _BYTES_PER_PIXEL + 2 * len(data))


def _jpeg(data: bytes) -> Cost:
    frame = jpeg_scan.scan(data, MAX_PARTS)
    pixels, components = frame.width * frame.height, len(frame.samples)
    seconds = frame.seconds + _NS * (15 * pixels + frame.ns_per_byte * len(data))
    held = 2 * sum(frame.samples.values()) if frame.is_buffered else 0  # coefficients, of two bytes each
    memory = max(_BYTES_PER_PIXEL * pixels, max(3, components) * pixels + held) + 2 * len(data)
    if frame.exif_bytes > _EXIF:  # Pillow copies the value of each tag, and values may overlap
        memory += frame.exif_bytes**2 // 48
    return Cost(frame.width, frame.height, seconds, memory, frame.segments + 50 * frame.scans)


def _png(data: bytes) -> Cost:
    width, height = _big(data, 16), _big(data, 20)
    row = width * data[24] * _SAMPLES.get(data[25], 4) // 8
    parts = _count_parts(data, 8, lambda place: place + 12 + _big(data, place))
    cost = _cost(data, (width, height), 22 if data[25] in (4, 6) else 16, 8, 10e-6 * parts)
    return Cost(width, height, cost.seconds + 4.5 * _NS * row * height, cost.memory + 4 * row, parts)


def _gif(data: bytes) -> Cost:
    parts, place = 0, 13 + _palette(data[10])
    while data[place] == 0x21 and parts <= MAX_PARTS:  # extensions before the first image
        place += 2
        while size := data[place]:
            place, parts = place + 1 + size, parts + 1
            if parts > MAX_PARTS:
                break
        place, parts = place + 1, parts + 1
    sides = [_little(data, 6, 2), _little(data, 8, 2)]
    if data[place] == 0x2C:  # a frame may be larger than the canvas, which then grows
        for axis in (0, 1):
            sides[axis] = max(
                sides[axis], _little(data, place + 1 + 2 * axis, 2) + _little(data, place + 5 + 2 * axis, 2)
            )
    cost = _cost(data, (sides[0], sides[1]), 20, 12, 5e-6 * parts)
    return Cost(sides[0], sides[1], cost.seconds, cost.memory, parts)


def _palette(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _bmp(data: bytes) -> Cost:
    is_old = _little(data, 14, 4) == 12  # OS/2: sides of two bytes, never compressed
    if is_old:
        return _cost(data, (_little(data, 18, 2), _little(data, 20, 2)), 16, 2)
    height = _little(data, 22, 4)
    size = _little(data, 18, 4), min(height, 2**32 - height)  # a negative height: rows from top to bottom
    is_runs = _little(data, 30, 4) in _RUN_LENGTH
    return _cost(data, size, 150 if is_runs else 16, 600 if is_runs else 2)


def _webp(data: bytes) -> Cost:
    kind, parts = data[12:16], _count_parts(data, 12, lambda place: place + 8 + _even(_little(data, place + 4, 4)))
    size = (0, 0)
    if kind == b"VP8X":
        size = _little(data, 24, 3) + 1, _little(data, 27, 3) + 1
    elif kind == b"VP8L":
        bits = _little(data, 21, 4)
        size = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        size = _little(data, 26, 2) & 0x3FFF, _little(data, 28, 2) & 0x3FFF
    cost = _cost(data, size, 27, 40)
    return Cost(*size, cost.seconds, 20 * size[0] * size[1] + 3 * len(data), parts)


def _iso(data: bytes) -> Cost:
    """AVIF and HEIF: the largest of the sizes that any of its items or tiles has (ISO/IEC 23008-12, 6.5.3)."""
    place, parts, size = data.find(b"ispe"), 0, (0, 0)
    while place >= 0 and parts <= MAX_PARTS:
        size = max(size, (_big(data, place + 8), _big(data, place + 12)), key=lambda sides: sides[0] * sides[1])
        place, parts = data.find(b"ispe", place + 4), parts + 1
    cost = _cost(data, size, 60, 60)
    return Cost(*size, cost.seconds, 16 * size[0] * size[1] + 3 * len(data), parts)


def _even(size: int) -> int:
    return size + (size & 1)


def _tiff(data: bytes) -> Cost:
    layout = tiff_tags.scan(data)
    size = layout.width, layout.height
    cost = _cost(data, size, 18, 1, layout.seconds)
    return Cost(*size, cost.seconds, cost.memory + size[0] * size[1] + layout.memory, layout.tags)


def _count_parts(data: bytes, place: int, following: Callable[[int], int]) -> int:
    """How many chunks follow each other from `place`; ends where there are more than MAX_PARTS."""
    parts, end = 0, len(data) - 8
    while place <= end and parts <= MAX_PARTS:
        place, parts = following(place), parts + 1
    return parts


def _big(data: bytes, place: int) -> int:
    return int.from_bytes(data[place : place + 4], "big")


def _little(data: bytes, place: int, size: int) -> int:
    return int.from_bytes(data[place : place + size], "little")


_ESTIMATES: dict[str, Callable[[bytes], Cost]] = {
    "JPEG": _jpeg, "PNG": _png, "GIF": _gif, "BMP": _bmp, "WEBP": _webp, "TIFF": _tiff, "AVIF": _iso,
    "HEIF": _iso,
}  # fmt: skip
