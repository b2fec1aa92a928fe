"""Small pictures for tests: every one another, so that none is a duplicate unless a test wants it to be."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

from imagenet_nk.formats.magic import EXTENSIONS
from imagenet_nk.formats.pixels import has_codec

FORMATS = [name for name in EXTENSIONS if has_codec(name)]  # that this Pillow writes


def array(token: object, width: int = 64, height: int = 48) -> np.ndarray:
    """Coarse coloured noise that the token decides: (height, width, 3) uint8."""
    seed = zlib.crc32(repr(token).encode())
    coarse = np.random.default_rng(seed).integers(0, 256, (-(-height // 8), -(-width // 8), 3), dtype=np.uint8)
    return coarse.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]


def image(token: object, width: int = 64, height: int = 48, mode: str = "RGB") -> Image.Image:
    picture = Image.fromarray(array(token, width, height))
    if mode == "I;16":  # Pillow's own conversion leaves it at 0..255 of 65535
        return Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    return picture.convert(mode)


def encoded(
    token: object, format_: str = "JPEG", mode: str = "RGB", size: tuple[int, int] = (64, 48), **options: object
) -> bytes:
    buffer = io.BytesIO()
    image(token, *size, mode=mode).save(buffer, format_, **options)
    return buffer.getvalue()


def jpeg(token: object) -> bytes:
    """About 1 kB."""
    return encoded(token, "JPEG", quality=60)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has next to nothing inside."""
    ihdr = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = png_chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", ihdr) + data + png_chunk(b"IEND", b"")


def scan_positions(jpeg_bytes: bytes) -> tuple[int, int]:
    """Start and end of the entropy-coded data of a baseline JPEG."""
    start = jpeg_bytes.index(b"\xff\xda")
    length = int.from_bytes(jpeg_bytes[start + 2 : start + 4], "big")
    return start + 2 + length, jpeg_bytes.rindex(b"\xff\xd9")
