"""Is this a picture? Format from the bytes, every pixel decoded, strictly; nothing believed from names or headers."""

from __future__ import annotations

import io
import itertools
import re
import warnings
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b, sha256

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, UnidentifiedImageError

from imagenet_nk.config import InspectConfig
from imagenet_nk.wire import Rejected

EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "GIF": "gif", "WEBP": "webp", "BMP": "bmp", "TIFF": "tif"}
_MAX_SCANS = 200  # progressive JPEGs have about ten; each one more costs a pass over all coefficients
_SOS = b"\xff\xda"  # start of scan
_BLANK_SPREAD = 4  # grey levels: what JPEG and WebP make of one colour
_HASH_SIDE = 8

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Picture:
    """What an inspected image is."""

    format: str  # a key of EXTENSIONS
    width: int
    height: int
    mode: str  # Pillow's word: RGB, L, CMYK, P, ...
    sha256: str  # of the bytes
    pixels: int  # 64-bit hash of the decoded pixels: equal for equal pixels under different bytes
    look: int  # 64-bit difference hash; few bits apart = the same to the eye

    @property
    def extension(self) -> str:
        return EXTENSIONS[self.format]


class Inspector:
    """Turns bytes into a Picture or the reason why they are none. Thread-safe; keeps no state."""

    def __init__(self, config: InspectConfig) -> None:
        self._config = config
        # Sizes are judged here, and broken metadata is nobody's concern. catch_warnings() is not for threads.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        self._placeholder_url = re.compile(
            "|".join(f"(?:{p})" for p in config.placeholder_urls) or r"(?!)", re.IGNORECASE
        )

    def url_verdict(self, final_url: str) -> Rejected | None:
        """Rejected if the address that answered is known for placeholders."""
        if self._placeholder_url.search(final_url):
            return Rejected("placeholder", detail="known address")
        return None

    def inspect(self, data: bytes) -> Picture | Rejected:
        """Decode the whole image: not_image, truncated, corrupt, too_small, too_large, blank, or a Picture.

        What is rejected says of which bytes.
        """
        steps = self.in_steps(data)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                verdict: Picture | Rejected = end.value
                return verdict

    def in_steps(self, data: bytes) -> Generator[None, None, Picture | Rejected]:
        """inspect(), which pauses where a JPEG is decoded: what is held by then is a 64th of its pixels."""
        verdict = yield from self._decoded(data)
        return replace(verdict, content=sha256(data).hexdigest()) if isinstance(verdict, Rejected) else verdict

    def _decoded(self, data: bytes) -> Generator[None, None, Picture | Rejected]:
        format_ = sniff(data)
        if format_ is None:
            return Rejected("not_image")
        if format_ == "JPEG":
            return (yield from self._jpeg(data))
        return self._other(data, format_)

    def _size_verdict(self, width: int, height: int) -> Rejected | None:
        if width * height > self._config.max_pixels:
            return Rejected("too_large", detail=f"{width} x {height} pixels")
        if min(width, height) < self._config.min_side:
            return Rejected("too_small", detail=f"{width} x {height} pixels")
        return None

    def _jpeg(self, data: bytes) -> Generator[None, None, Picture | Rejected]:
        # Scaled to 1/8 the whole entropy-coded stream is still read; strict, so that a garbled one is an error.
        try:
            height, width, colour, _ = simplejpeg.decode_jpeg_header(data, strict=True)
            if verdict := self._size_verdict(width, height):
                return verdict
            if _too_many_scans(data):
                return Rejected("too_large", detail="too many scans")
            small = simplejpeg.decode_jpeg(
                data, "CMYK" if colour in ("CMYK", "YCCK") else "RGB", min_height=1, min_width=1, min_factor=8
            )
        except ValueError as error:
            return Rejected("truncated" if "remature end of JPEG" in str(error) else "corrupt", detail=str(error))
        yield
        mode = {"Gray": "L", "CMYK": "CMYK", "YCCK": "CMYK"}.get(colour, "RGB")
        return self._verdict(data, "JPEG", (width, height), mode, small)

    def _other(self, data: bytes, format_: str) -> Picture | Rejected:
        try:
            with Image.open(io.BytesIO(data), formats=[format_]) as image:
                if verdict := self._size_verdict(*image.size):
                    return verdict
                mode = image.mode
                image.load()
                pixels = np.asarray(image.convert("RGBA" if "A" in image.getbands() else "RGB"))
        except Image.DecompressionBombError as error:
            return Rejected("too_large", detail=str(error))
        except UnidentifiedImageError as error:
            return Rejected("corrupt", detail=str(error))
        except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, KeyError, OverflowError) as error:
            # Pillow's plugins let all of these through for broken files; PNG's CRC faults are SyntaxErrors.
            return Rejected("truncated" if "truncated" in str(error).lower() else "corrupt", detail=str(error))
        except (ArithmeticError, AttributeError, MemoryError, RuntimeError, Image.DecompressionBombWarning) as error:
            return Rejected("corrupt", detail=f"{type(error).__name__}: {error}")
        return self._verdict(data, format_, (pixels.shape[1], pixels.shape[0]), mode, pixels)

    def _verdict(
        self, data: bytes, format_: str, size: tuple[int, int], mode: str, pixels: Pixels
    ) -> Picture | Rejected:
        if _one_colour(pixels[::7, ::7, 1:2]) and _one_colour(pixels):  # few images need more than the quick look
            return Rejected("blank")
        digest = blake2b(
            np.ascontiguousarray(pixels).data, digest_size=8, key=repr((*size, mode)).encode()[:64]
        ).digest()
        return Picture(format_, *size, mode, sha256(data).hexdigest(), int.from_bytes(digest, "big"), look(pixels))


def _too_many_scans(data: bytes) -> bool:
    # Where all is in one scan the decoder takes no second one; all of the bytes are looked through only for others.
    return not _is_one_scan(data) and data.count(_SOS) > _MAX_SCANS


def _is_one_scan(data: bytes) -> bool:
    """Whether the headers of a JPEG announce a single scan: sequential, and all components in the first one."""
    place, components = 2, 0
    while (marker := data[place : place + 2]) and marker[:1] == b"\xff":
        if marker in (b"\xff\xc0", b"\xff\xc1"):
            components = data[place + 9]
        elif marker == _SOS:
            return data[place + 4] == components
        elif b"\xff\xc2" <= marker <= b"\xff\xcf" and marker not in (b"\xff\xc4", b"\xff\xcc"):
            return False  # progressive, or of a kind that hardly exists
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return False


def _one_colour(pixels: Pixels) -> bool:
    channels = (pixels[..., number] for number in range(pixels.shape[-1]))
    return all(int(channel.max()) - int(channel.min()) <= _BLANK_SPREAD for channel in channels)


def sniff(data: bytes) -> str | None:
    """Format by its first bytes, a key of EXTENSIONS; None for anything else."""
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:2] == b"BM":
        return "BMP"
    if data[:4] in (b"II*\0", b"MM\0*"):
        return "TIFF"
    return None


def look(pixels: Pixels) -> int:
    """Difference hash of (H, W, C) pixels: is each cell of an 8 x 9 grey thumbnail darker than its right neighbour?

    The dHash of N. Krawetz, "Kind of Like That" (2013).
    """
    rgb, (height, width, _) = np.ascontiguousarray(pixels[..., :3]), pixels.shape
    grey = Image.frombuffer("RGB", (width, height), rgb, "raw", "RGB", 0, 1).convert("L")
    cells = grey.resize((_HASH_SIDE + 1, _HASH_SIDE), Image.Resampling.BOX).tobytes()
    bits = 0
    for place, (left, right) in enumerate(itertools.pairwise(cells), 1):
        if place % (_HASH_SIDE + 1):  # else the right one begins the next row
            bits = bits << 1 | (left < right)
    return bits


def near(one: int, others: Sequence[int], bits: int) -> bool:
    """Whether a look hash differs from any of the others in at most `bits` bits."""
    return any((one ^ other).bit_count() <= bits for other in others)
