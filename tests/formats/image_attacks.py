"""Images that cost far more to decode than they weigh: builders, and a table of cases that must be refused.

`full` gives them all the data that a decoder would go through; the header and the structure alone are quick to make.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import partial

from collect import pictures

chunk = pictures.png_chunk
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def png(
    width: int, height: int, depth: int = 8, colour: int = 2, interlace: int = 0, chunks: tuple[int, bytes] = (0, b""),
    *, full: bool = False, filter_: int = 4, packed: bytes = zlib.compress(bytes(1000)),
) -> bytes:  # fmt: skip
    """`chunks`: how many empty chunks of a kind stand before the data."""
    if full:
        row = bytes([filter_]) + bytes([1]) * -(-width * depth * CHANNELS[colour] // 8)
        packer = zlib.compressobj(1)
        packed = b"".join([packer.compress(row) for _ in range(height)]) + packer.flush()
    palette = chunk(b"PLTE", bytes(range(256)) * 3) if colour == 3 else b""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    many = chunk(chunks[1], b"") * chunks[0] if chunks[0] else b""
    data = b"".join(chunk(b"IDAT", packed[at : at + 65536]) for at in range(0, len(packed), 65536))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + many + data + chunk(b"IEND", b"")


def segment(marker: int, data: bytes = b"") -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def jpeg(
    width: int, height: int, scans: int = 1, kind: int = 0xC2, components: int = 3, factor: int = 0x11,
    extra: bytes = b"",
) -> bytes:  # fmt: skip
    """All grey: a table of one code, and scans of nothing but runs of empty blocks."""
    table = bytes([1] + [0] * 15 + [0])  # code 0: a difference of nothing, or the end of a block
    runs = bytes([0, 0, 0, 15, *[0] * 12, *range(0, 0xF0, 0x10)])  # EOB0 to EOB14, four bits each
    ids = range(1, components + 1)
    frame = struct.pack(">BHHB", 8, height, width, components)
    frame += b"".join(bytes([i, factor if i == 1 else 0x11, 0]) for i in ids)
    progressive = kind in (0xC2, 0xCA)
    head = b"\xff\xd8" + segment(0xDB, bytes([0]) + bytes([1]) * 64) + extra + segment(kind, frame)
    head += segment(0xC4, bytes([0]) + table) + segment(0xC4, bytes([0x10]) + (runs if progressive else table))
    first = segment(
        0xDA, bytes([components]) + b"".join(bytes([i, 0]) for i in ids) + bytes([0, 0 if progressive else 63, 0])
    )
    across, down = -(-width // 8), -(-height // 8)
    blocks = across * down
    data = bytes(-(-blocks * components * (1 if progressive else 2) // 8) + 1)
    again = segment(0xDA, bytes([1, 1, 0, 1, 63, 0]))
    if scans == 1:
        return head + first + data + b"\xff\xd9"
    left, run = blocks, bytearray()
    bits = ""
    while left > 0:
        size = min(14, left.bit_length() - 1)
        bits += f"{size:04b}" + (f"{left - (1 << size) if left < 2 << size else 0:0{size}b}" if size else "")
        left -= (1 << size) + (left - (1 << size) if left < 2 << size else 0)
    bits += "1" * (-len(bits) % 8)
    for at in range(0, len(bits), 8):
        byte = int(bits[at : at + 8], 2)
        run += bytes([byte, 0]) if byte == 0xFF else bytes([byte])
    return head + first + data + (again + bytes(run)) * (scans - 1) + b"\xff\xd9"


def gif(
    width: int, height: int, frame: tuple[int, int] | None = None, extensions: bytes = b"", *, full: bool = False
) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes([1, 2, 3, 200, 100, 50])
    wide, high = frame or (width, height)
    codes = lzw(wide * high) if full else b"\x44\x01"
    blocks = b"".join(bytes([len(part)]) + part for at in range(0, len(codes), 255) if (part := codes[at : at + 255]))
    return head + extensions + b"," + struct.pack("<HHHHB", 0, 0, wide, high, 0) + b"\2" + blocks + b"\0;"


def lzw(pixels: int) -> bytes:
    """One colour: each code is the one before it and a pixel more, until all 4096 are taken."""
    out, held, width, left = 4, 3, 3, pixels  # the clear code first
    data = bytearray()
    code, size, bits = 6, 2, out

    def put(value: int) -> None:
        nonlocal bits, held
        bits |= value << held
        held += width
        while held >= 8:
            data.append(bits & 255)
            bits >>= 8
            held -= 8

    put(0)
    left -= 1
    while left > 0:
        put(min(code, 4095))
        left -= size
        if code < 4095:
            code, size = code + 1, size + 1
        if code - 1 >= 1 << width and width < 12:
            width += 1
    put(5)
    data.append(bits & 255)
    return bytes(data)


def bmp(width: int, height: int, bits: int = 24, compression: int = 0, data: bytes = b"") -> bytes:
    colours = b"".join(bytes([i, i, 255 - i, 0]) for i in range(1 << bits)) if bits <= 8 else b""
    start = 54 + len(colours)
    head = struct.pack("<IiiHHIIIIII", 40, width, height, 1, bits, compression, len(data), 1, 1, 0, 0)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + head + colours + data


def old_bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHI", 26, 0, 0, 26) + struct.pack("<IHHHH", 12, width, height, 1, 24)


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(
        name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) & 1) for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def lossless(width: int, height: int) -> bytes:
    """VP8L of one colour: single codes everywhere, so that no bits are read for a pixel."""
    head = b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14)
    return head + bytes([0x88, 0x88, 8, 7, 0, 0, 0, 0, 0, 0])


def vp8x(width: int, height: int, flags: int = 0) -> bytes:
    return bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


def webp(width: int, height: int, *chunks: tuple[bytes, bytes], kind: str = "VP8L") -> bytes:
    if kind == "VP8L":
        return riff((b"VP8L", lossless(width, height)), *chunks)
    if kind == "VP8 ":
        frame = b"\x30\1\0\x9d\1\x2a" + struct.pack("<HH", width, height)
        return riff((b"VP8 ", frame + bytes(20)), *chunks)
    return riff((b"VP8X", vp8x(width, height)), *chunks, (b"VP8L", lossless(min(width, 16384), min(height, 16384))))


Value = int | list[int] | bytes


def tiff(
    tags: dict[int, Value], data: bytes = b"", order: str = "<", kinds: dict[int, int] | None = None,
    twice: tuple[tuple[int, Value], ...] = (),
) -> bytes:  # fmt: skip
    """The pixel data stand at byte 8; a list of numbers is one of four-byte values unless `kinds` says otherwise."""
    entries, behind = [], b""
    after = 8 + len(data) + (len(data) & 1)
    where = after + 2 + 12 * (len(tags) + len(twice)) + 4
    for tag, value in sorted([*tags.items(), *twice], key=lambda pair: pair[0]):
        if isinstance(value, bytes):
            kind, count, packed = 7, len(value), value
        else:
            values = value if isinstance(value, list) else [value]
            kind, count, packed = 4, len(values), struct.pack(f"{order}{len(values)}I", *values)
        if kinds and tag in kinds:
            kind = kinds[tag]
            count = len(packed) // {3: 2, 5: 8, 10: 8}.get(kind, 4)
        if len(packed) > 4:
            behind += packed
            packed = struct.pack(order + "I", where + len(behind) - len(packed))
        entries.append(struct.pack(order + "HHI", tag, kind, count) + packed.ljust(4, b"\0"))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", after)
    directory = struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)
    return head + data + bytes(len(data) & 1) + directory + behind


def plain_tags(width: int, height: int, **more: Value) -> dict[int, Value]:
    """One grey strip, without compression; names as in the specification."""
    numbers = {"bits": 258, "compression": 259, "photometric": 262, "offsets": 273, "samples": 277, "rows": 278}
    numbers |= {"counts": 279, "planar": 284, "tile_width": 322, "tile_height": 323, "tiles": 324, "tile_counts": 325}
    base = {"bits": 8, "compression": 1, "photometric": 1, "offsets": 8, "samples": 1, "rows": height}
    base["counts"] = width * height
    named = {256: width, 257: height} | {numbers[name]: value for name, value in {**base, **more}.items()}
    if "tile_width" in more:
        named = {tag: value for tag, value in named.items() if tag not in (273, 278, 279)}
    return named


def strips(count: int, width: int = 64, **more: Value) -> bytes:
    tags = plain_tags(width, count, rows=1, offsets=[8] * count, counts=[width] * count, **more)
    return tiff(tags, bytes(range(256)) * (width // 256 + 1))


def _tiled(width: int, height: int, tile: int, compression: int = 8, **more: Value) -> bytes:
    number = (-(-width // tile)) * (-(-height // tile))
    tags = plain_tags(
        width, height, compression=compression, tile_width=tile, tile_height=tile, tiles=[8] * number,
        tile_counts=[100] * number, **more,
    )  # fmt: skip
    return tiff(tags, zlib.compress(bytes(10_000)))


Case = Callable[[], bytes]


def _cases() -> dict[str, Case]:
    cases: dict[str, Case] = {}
    sides = [(100_000, 100_000), (3_125_000, 32), (32, 3_125_000), (2**31 - 1, 64), (12_000, 12_000)]
    for width, height in sides:
        for colour, depth in ((0, 8), (2, 8), (3, 8), (4, 16), (6, 16), (0, 1)):
            cases[f"png {width} x {height}, colour type {colour}, {depth} bits"] = partial(
                png, width, height, depth, colour
            )
    cases["png of 16 bits RGBA, 10,000 x 10,000"] = partial(png, 10_000, 10_000, 16, 6)
    cases["png of 16 bits RGBA, interlaced, 8,000 x 8,000"] = partial(png, 8_000, 8_000, 16, 6, 1)
    for kind in (b"IDAT", b"tEXt", b"teSt", b"gAMA", b"fdAT", b"zTXt"):
        cases[f"png of 60,000 chunks {kind.decode()}"] = partial(png, 64, 64, chunks=(60_000, kind))
    for scans in (100, 199, 1000):
        cases[f"jpeg of {scans} scans, 10,000 x 9,000"] = partial(copies, 10_000, 9_000, scans)
    cases["jpeg of 200,000 scans, 64 x 64"] = partial(copies, 64, 64, 200_000)
    for kind in range(0xC0, 0xD0):
        if kind not in (0xC4, 0xC8, 0xCC):
            cases[f"jpeg of 65,500 x 65,500, frame {kind:x}"] = partial(_frame_only, 65_500, 65_500, kind)
    for kind in (0xC9, 0xCA, 0xC3):
        cases[f"jpeg of 9,000 x 7,000 in frame {kind:x}"] = partial(copies, 9_000, 7_000, 2, kind)
    cases["jpeg of sequential scans, each component many times"] = partial(copies, 8_000, 8_000, 60, 0xC0)
    cases["progressive jpeg of four components, 9,000 x 9,000"] = partial(_frame_only, 9_000, 9_000, 0xC2, 4)
    for marker in (0xFE, 0xE0, 0xE1, 0xDB, 0xDD):
        cases[f"jpeg of 100,000 segments {marker:x}"] = partial(
            _frame_only, 64, 64, extra=segment(marker, b"") * 100_000
        )
    cases["jpeg of padding"] = partial(_frame_only, 64, 64, extra=b"\xff" * 100_000)
    cases["jpeg of 4 MB of Exif"] = partial(_frame_only, 64, 64, extra=segment(0xE1, b"Exif\0\0" + bytes(65_000)) * 64)
    for width, height in ((65_535, 65_535), (65_535, 2_000), (12_000, 12_000)):
        cases[f"gif {width} x {height}"] = partial(gif, width, height)
        cases[f"gif 64 x 64 with a frame of {width} x {height}"] = partial(gif, 64, 64, (width, height))
    cases["gif of comments"] = partial(gif, 64, 64, None, b"!\xfe" + b"\1x" * 100_000 + b"\0")
    cases["gif of extensions"] = partial(gif, 64, 64, None, b"!\xf9\4\0\0\0\0\0" * 100_000)
    cases["gif of empty extensions"] = partial(gif, 64, 64, None, b"!\xff\0" * 100_000)
    for width, height in (
        (60_000, 60_000),
        (2**31 - 1, 2**31 - 1),
        (12_000, -12_000),
        (3_125_000, 64),
        (1_000_000, -100),
    ):
        for bits in (1, 8, 24, 32):
            cases[f"bmp {width} x {height}, {bits} bits"] = partial(bmp, width, height, bits)
    cases["old bmp 60,000 x 60,000"] = partial(old_bmp, 60_000, 60_000)
    for name, run in {"rows": b"\0\0", "runs": b"\1\1", "nothing": b"\xff\1", "jumps": b"\0\2\0\0"}.items():
        for compression, bits in ((1, 8), (2, 4)):
            cases[f"bmp of {name}, compression {compression}"] = partial(
                bmp, 64, 64, bits, compression, run * (2_000_000)
            )
    cases["bmp of runs, 5,000 x 5,000"] = partial(bmp, 5_000, 5_000, 4, 2, b"\xff\1" * 1000)
    for kind in ("VP8L", "VP8 ", "VP8X"):
        for width, height in ((16_383, 16_383), (10_000, 10_000), (16_383, 3_000)):
            cases[f"webp {kind} {width} x {height}"] = partial(webp, width, height, kind=kind)
    cases["webp of a canvas of 2^24 x 255"] = partial(webp, 2**24, 255, kind="VP8X")
    for name in (b"ANMF", b"EXIF", b"none"):
        cases[f"webp of 100,000 chunks {name.decode()}"] = partial(webp, 64, 64, *[(name, b"")] * 100_000, kind="VP8X")
    for width, height in ((20_000, 20_000), (2**31, 2**31)):
        box = b"\0\0\0\x14ispe\0\0\0\0" + struct.pack(">II", width, height)
        cases[f"avif {width} x {height}"] = partial(bytes.__add__, b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", box)
    for order in "<>":
        cases[f"tiff 20,000 x 20,000, {order}"] = partial(tiff, plain_tags(20_000, 20_000), b"", order)
    cases["tiff of 200,000 strips"] = partial(strips, 200_000)
    for compression in (2, 3, 4, 5, 7, 8, 32773, 32946, 34925, 50000):
        cases[f"tiff of 110,000 strips, compression {compression}"] = partial(strips, 110_000, compression=compression)
    cases["tiff of 110,000 strips, no counts"] = partial(_no_counts, 300)
    for tile in (65_536, 32_768, 40_000):
        cases[f"tiff 64 x 64 with a tile of {tile}"] = partial(_tiled, 64, 64, tile)
    cases["tiff of 65,536 tiles of 512"] = partial(_tiled, 512 * 20, 512 * 400, 512)
    cases["tiff of tiny tiles"] = partial(_tiled, 8_000, 8_000, 16)
    cases["tiff of tiles, sixteen bits"] = partial(_tiled, 4_000, 4_000, 16_384, bits=16)
    cases["tiff whose strips overlap"] = partial(_overlapping, 8)
    cases["tiff whose strips overlap, LZMA"] = partial(_overlapping, 34925)
    cases["tiff of a million resolutions"] = lambda: tiff(
        plain_tags(64, 64) | {282: bytes(8_000_000), 283: bytes(8_000_000)}, bytes(4096), kinds={282: 5, 283: 5}
    )
    cases["tiff of 16 million bits per sample"] = lambda: tiff(
        plain_tags(64, 64, bits=bytes(32_000_000)), bytes(4096), kinds={258: 3}
    )
    cases["tiff that names its width twice"] = lambda: tiff(plain_tags(64, 64), bytes(4096), twice=((256, 10**9),))
    cases["tiff of many scans"] = partial(_scans_in_tiff, 300)
    cases["tiff of 60,000 tags over the same bytes"] = _shared_values
    return cases


def _frame_only(width: int, height: int, kind: int = 0xC0, components: int = 3, extra: bytes = b"") -> bytes:
    head = jpeg(8, 8, kind=kind, components=components, extra=extra)
    frame = head.index(bytes([0xFF, kind, 0, 8 + 3 * components, 8]))
    return head[: frame + 5] + struct.pack(">HH", height, width) + head[frame + 9 :]


def copies(width: int, height: int, scans: int, kind: int = 0xC2) -> bytes:
    """A frame of this size whose scans hold next to nothing."""
    one = _frame_only(width, height, kind)
    again = segment(0xDA, bytes([1, 1, 0, 1, 63, 0])) + b"\0\0"
    if kind == 0xC0:  # one component in each scan
        start = one.index(b"\xff\xda")
        return one[:start] + (segment(0xDA, bytes([1, 1, 0, 0, 63, 0])) + b"\0\0") * scans + b"\xff\xd9"
    return one[:-2] + again * (scans - 1) + b"\xff\xd9"


def _no_counts(rows: int) -> bytes:
    tags = plain_tags(64, rows, rows=1, offsets=[8] * rows, compression=8)
    del tags[279]
    return tiff(tags, zlib.compress(bytes(64)) + bytes(8_000_000))


def _overlapping(compression: int) -> bytes:
    tags = plain_tags(1_000, 1_000, rows=1, offsets=[8] * 1_000, counts=[4_000_000] * 1_000, compression=compression)
    return tiff(tags, bytes(4_000_000))


def _scans_in_tiff(scans: int) -> bytes:
    inside = copies(5_000, 5_000, scans)
    tags = plain_tags(5_000, 5_000, compression=7, photometric=2, samples=3, bits=[8, 8, 8], counts=len(inside))
    return tiff(tags, inside, kinds={})


def _shared_values() -> bytes:
    """Each of 60,000 tags has the same 700 kB."""
    base = tiff(plain_tags(64, 64), bytes(4096))
    count = 60_000
    entries = b"".join(struct.pack("<HHII", 1000 + tag, 7, 700_000, 8) for tag in range(count))
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", count) + entries + bytes(4) + base


ATTACKS = _cases()
