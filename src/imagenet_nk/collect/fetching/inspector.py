"""Inspection: the format from the first bytes, then strict decoding. File names and headers are not trusted."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b, sha256
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, UnidentifiedImageError

from imagenet_nk.config.collecting import InspectConfig
from imagenet_nk.errors import DatasetError
from imagenet_nk.formats import image_cost
from imagenet_nk.formats.magic import EXTENSIONS, sniff
from imagenet_nk.formats.pixels import has_codec, to_8_bit
from imagenet_nk.reasons import Reason, Rejected

_BLANK_SPREAD = 4  # grey levels: what JPEG and WebP make of one colour
_HASH_SIDE = 8
_LARGE = 2**24  # pixels; larger images are decoded one at a time
_BAND = 2**21  # pixels that are processed together

Pixels = npt.NDArray[np.uint8]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Properties of a valid image."""

    format: str  # a key of EXTENSIONS
    width: int
    height: int
    mode: str  # as Pillow names it: RGB, L, CMYK, P, ...
    sha256: str  # of the bytes
    pixels: int  # 64-bit hash of the decoded pixels: equal for equal pixels under different bytes
    dhash: int  # 64-bit difference hash; images a few bits apart look the same

    def file_name(self, image_id: str) -> str:
        """Name under images/<wnid>/."""
        return f"{image_id}.{EXTENSIONS[self.format]}"


class Inspector:
    """Decides whether bytes are a valid image. Thread-safe.

    Raises DatasetError if this machine has too little memory for an image, which is not the image's fault.
    """

    def __init__(self, config: InspectConfig) -> None:
        self._config, self._large = config, ThreadPoolExecutor(1, thread_name_prefix="large")
        self._placeholder_url = re.compile(
            "|".join(f"(?:{p})" for p in config.placeholder_urls) or r"(?!)", re.IGNORECASE
        )

    def url_verdict(self, final_url: str) -> Rejected | None:
        """Rejected if the URL that answered matches inspect.placeholder_urls."""
        if self._placeholder_url.search(final_url):
            return Rejected(Reason.PLACEHOLDER, detail="known URL")
        return None

    def inspect(self, data: bytes) -> ImageInfo | Rejected:
        """Decode the whole image; or a Rejected for one of its reasons, from not_image to blank."""
        steps = self.inspect_steps(data)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                verdict: ImageInfo | Rejected = end.value
                return verdict

    def inspect_steps(self, data: bytes) -> Generator[None, None, ImageInfo | Rejected]:
        """The same, with a pause after a JPEG is decoded: what it holds by then is a 64th of its pixels."""
        if (format_ := sniff(data)) is None:
            return Rejected(Reason.NOT_IMAGE)
        cost = image_cost.estimate(data, format_)
        if refused := self._size_verdict(cost.width, cost.height, cost.excess):
            return refused
        if format_ == "JPEG":
            return (yield from self._jpeg(data))
        if not has_codec(format_):
            return Rejected(Reason.NO_CODEC, detail=f"{format_}: Pillow lacks its codec")
        return self._other(data, format_)

    def _size_verdict(self, width: int, height: int, excess: str = "") -> Rejected | None:
        if width * height > self._config.max_pixels:
            return Rejected(Reason.TOO_LARGE, detail=f"{width} x {height} pixels")
        if excess:
            return Rejected(Reason.TOO_LARGE, detail=excess)
        if width and height and min(width, height) < self._config.min_side:
            return Rejected(Reason.TOO_SMALL, detail=f"{width} x {height} pixels")
        return None

    def _jpeg(self, data: bytes) -> Generator[None, None, ImageInfo | Rejected]:
        # Scaled to 1/8 the whole entropy-coded stream is still read; strict, so that a garbled one is an error.
        try:
            height, width, colour, _ = simplejpeg.decode_jpeg_header(data, strict=True)
            if verdict := self._size_verdict(width, height):
                return verdict
            space = "CMYK" if colour in ("CMYK", "YCCK") else "RGB"
            decode = partial(simplejpeg.decode_jpeg, data, space, min_height=1, min_width=1, min_factor=8)
            small: Pixels = self._serialise_large(
                (width, height), decode
            )  # a progressive JPEG is in memory as a whole meanwhile
        except ValueError as error:
            if "nsufficient memory" in str(error):
                raise _out_of_memory() from error
            return Rejected(
                Reason.TRUNCATED if "remature end of JPEG" in str(error) else Reason.CORRUPT, detail=str(error)
            )
        yield
        mode = {"Gray": "L", "CMYK": "CMYK", "YCCK": "CMYK"}.get(colour, "RGB")
        if _is_one_colour([small[::7, ::7, 1:2]]) and _is_one_colour([small]):  # the sample decides for most images
            return Rejected(Reason.BLANK)
        digest = _digest((width, height), mode)
        digest.update(np.ascontiguousarray(small).data)
        return _image_info(data, "JPEG", (width, height), mode, digest.digest(), dhash(small))

    def _other(self, data: bytes, format_: str) -> ImageInfo | Rejected:
        try:
            with Image.open(io.BytesIO(data), formats=[format_]) as image:
                if verdict := self._size_verdict(*image.size):
                    return verdict
                return self._serialise_large(image.size, partial(_inspect_in_bands, data, format_, image.mode, image))
        except Image.DecompressionBombError as error:
            return Rejected(Reason.TOO_LARGE, detail=str(error))
        except UnidentifiedImageError as error:
            return Rejected(Reason.CORRUPT, detail=str(error).partition(" <")[0])  # without the address of the object
        except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, KeyError, OverflowError) as error:
            # What Pillow's plugins raise for broken files; CRC errors of PNG are SyntaxErrors.
            return Rejected(
                Reason.TRUNCATED if "truncated" in str(error).lower() else Reason.CORRUPT, detail=str(error)
            )
        except MemoryError as error:
            if not _can_allocate(8 * self._config.max_pixels):
                raise _out_of_memory() from error
            return Rejected(Reason.CORRUPT, detail="it asks for more memory than its pixels take")
        except (ArithmeticError, AttributeError, RuntimeError) as error:
            return Rejected(Reason.CORRUPT, detail=f"{type(error).__name__}: {error}")

    def _serialise_large(self, size: tuple[int, int], work: Callable[[], _T]) -> _T:
        """Large images are decoded one at a time, by a thread of their own: each thread keeps a heap of its own."""
        return self._large.submit(work).result() if size[0] * size[1] > _LARGE else work()


def _inspect_in_bands(data: bytes, format_: str, mode: str, image: Image.Image) -> ImageInfo | Rejected:
    """Check and hash an image a few rows at a time, so that a large one is not copied as a whole."""
    image.load()
    image = to_8_bit(image)
    digest, grey, sample = _digest(image.size, mode), Image.new("L", image.size), []
    for top, part in _bands(image):
        band = np.asarray(part)
        digest.update(np.ascontiguousarray(band).data)
        grey.paste(_grey(band), (0, top))
        sample.append(band[::7, ::7])
    if _is_one_colour(sample) and _is_one_colour(_extremes(band) for _, band in _bands(image)):
        return Rejected(Reason.BLANK)
    return _image_info(data, format_, image.size, mode, digest.digest(), _dhash_grey(grey))


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """(first row, RGB or RGBA pixels) of bands from top to bottom."""
    kind, rows = "RGBA" if "A" in image.getbands() else "RGB", max(1, _BAND // image.width)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        yield top, band.convert(kind)


def _extremes(band: Image.Image) -> Pixels:
    """(2, 1, C) darkest and brightest value of each channel; numpy takes ten times as long."""
    return np.array(band.getextrema(), np.uint8).T[:, None]


def _digest(size: tuple[int, int], mode: str) -> Any:
    return blake2b(digest_size=8, key=repr((*size, mode)).encode()[:64])


def _image_info(data: bytes, format_: str, size: tuple[int, int], mode: str, digest: bytes, look_: int) -> ImageInfo:
    return ImageInfo(format_, *size, mode, sha256(data).hexdigest(), int.from_bytes(digest, "big"), look_)


def _can_allocate(memory: int) -> bool:
    try:
        bytearray(memory)
    except MemoryError:
        return False
    return True


def _out_of_memory() -> DatasetError:
    return DatasetError("too little memory is left to decode a large image: free some, then run it again")


def _is_one_colour(parts: Iterable[Pixels]) -> bool:
    """Whether each channel of an image, given in (h, w, C) parts, is the same all over."""
    lows, highs = zip(*((part.min(axis=(0, 1)), part.max(axis=(0, 1))) for part in parts), strict=True)
    return int((np.max(highs, axis=0) - np.min(lows, axis=0)).max()) <= _BLANK_SPREAD


def dhash(pixels: Pixels) -> int:
    """Difference hash of (H, W, C) pixels: is each cell of an 8 x 9 grey thumbnail darker than its right neighbour?

    The dHash of N. Krawetz, "Kind of Like That" (2013).
    """
    return _dhash_grey(_grey(pixels))


def _grey(pixels: Pixels) -> Image.Image:
    rgb, (height, width, _) = np.ascontiguousarray(pixels[..., :3]), pixels.shape
    return Image.frombuffer("RGB", (width, height), rgb, "raw", "RGB", 0, 1).convert("L")


def _dhash_grey(grey: Image.Image) -> int:
    cells = grey.resize((_HASH_SIDE + 1, _HASH_SIDE), Image.Resampling.BOX).tobytes()
    bits = 0
    for place, (left, right) in enumerate(itertools.pairwise(cells), 1):
        if place % (_HASH_SIDE + 1):  # else the right one is in the next row
            bits = bits << 1 | (left < right)
    return bits
