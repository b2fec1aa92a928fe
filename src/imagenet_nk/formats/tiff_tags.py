"""The first directory of a TIFF: what its strips and tiles take to decode (TIFF 6.0, sections 2, 8 and 15)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

_WIDTH, _HEIGHT, _BITS, _COMPRESSION = 256, 257, 258, 259
_STRIPS, _SAMPLES, _ROWS, _STRIP_COUNTS, _PLANAR = 273, 277, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_COUNTS = 322, 323, 324, 325
_COUNTS = (_STRIP_COUNTS, _TILE_COUNTS)
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}  # bytes by type
_BYTES = (1, 2, 7)  # types that stay bytes; of the others every value becomes an object
_RATIONAL = (5, 10)
_RAW, _JPEGS, _LZMA = 1, (6, 7), 34925
_MAX_STRIPS = 200_000  # of more, the sizes are not read
_MAX_SAMPLES = 8  # Pillow takes no more than six


@dataclass
class Layout:
    """What the tags say. A tag that occurs twice counts with the larger value, or the smaller height of strips."""

    width: int = 0
    height: int = 0
    tags: int = 0
    tag_bytes: int = 0  # of their values
    tag_seconds: float = 0.0  # to read the values as objects
    tag_memory: int = 0  # bytes of these objects
    compression: int = _RAW
    strips: int = 0  # or tiles, of all planes
    strip_bytes: int = 0  # decoded size of one
    input_bytes: int = 0  # encoded size of all; more than the file has if they overlap
    scans: int = 0  # of the JPEGs inside
    values: dict[int, list[int]] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """To decode the strips, beside what each pixel takes."""
        decoded = self.strips * self.strip_bytes * 4e-9 + self.strips * 20e-6
        coded = 0.0 if self.compression == _RAW else 100e-9 if self.compression == _LZMA else 15e-9
        passes = 0.5e-9 * self.scans * self.strip_bytes if self.compression in _JPEGS else 0.0
        return decoded + coded * self.input_bytes + passes + self.tag_seconds

    @property
    def memory(self) -> int:
        """Bytes beside the pixels."""
        held = 2 * self.strip_bytes if self.compression in _JPEGS and self.scans > self.strips else 0
        return self.strip_bytes + held + 100 * self.strips + self.tag_bytes + self.tag_memory


def scan(data: bytes) -> Layout:
    """Read the first directory; a broken one gives what can be read of it."""
    layout, order = Layout(), "<" if data[:2] == b"II" else ">"
    try:
        (start,) = struct.unpack_from(order + "I", data, 4)
        (layout.tags,) = struct.unpack_from(order + "H", data, start)
        for place in range(start + 2, start + 2 + 12 * layout.tags, 12):
            _add_tag(layout, data, order, place)
    except struct.error:
        pass  # the directory is cut short
    _lay_out(layout, len(data))
    if layout.compression in _JPEGS:
        layout.scans = data.count(b"\xff\xda")
    return layout


def _add_tag(layout: Layout, data: bytes, order: str, place: int) -> None:
    tag, kind, count = struct.unpack_from(order + "HHI", data, place)
    size = count * _SIZES.get(kind, 0)
    if size > 4:
        (place,) = struct.unpack_from(order + "I", data, place + 8)
        if place + size > len(data):
            return  # readers skip it
        layout.tag_bytes += size
        if kind not in _BYTES:
            layout.tag_seconds += count * (5e-6 if kind in _RATIONAL else 100e-9)
            layout.tag_memory += count * (400 if kind in _RATIONAL else 40)
    else:
        place += 8
    if (tag in _COUNTS and count > _MAX_STRIPS) or tag in (_STRIPS, _TILES):
        layout.strips = max(layout.strips, count)
    elif _WIDTH <= tag <= _TILE_COUNTS and kind in (1, 3, 4) and size:
        form = {1: "B", 3: "H", 4: "I"}[kind]
        count = min(count, _MAX_STRIPS if tag in _COUNTS else _MAX_SAMPLES)
        layout.values.setdefault(tag, []).extend(struct.unpack_from(f"{order}{count}{form}", data, place))


def _lay_out(layout: Layout, size: int) -> None:
    def most(tag: int, default: int) -> int:
        return max(layout.values.get(tag) or [default])

    layout.width, layout.height, layout.compression = most(_WIDTH, 0), most(_HEIGHT, 0), most(_COMPRESSION, _RAW)
    samples = min(most(_SAMPLES, 3 if layout.compression in _JPEGS else 1), _MAX_SAMPLES)
    planes = samples if most(_PLANAR, 1) == 2 else 1
    if _TILE_WIDTH in layout.values:
        across, down = max(1, most(_TILE_WIDTH, 1)), max(1, most(_TILE_HEIGHT, 1))
    else:
        across, down = max(1, layout.width), max(1, min([*layout.values.get(_ROWS, []), layout.height]))
    number = -(-layout.width // across) * -(-layout.height // down) * planes
    layout.strips = max(layout.strips, number)
    layout.strip_bytes = -(-across * most(_BITS, 1) * samples // planes // 8) * down
    counts = [count for tag in _COUNTS for count in layout.values.get(tag, [])]
    missing = max(0, number - len(counts)) + counts.count(0)  # libtiff then takes all that follows
    layout.input_bytes = sum(counts) + missing * size
