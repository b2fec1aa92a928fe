"""Thumbnails, in one contact strip for each class: a page of ten thousand loads a thousand files, lazily."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from imagenet_nk.collect.fetching.inspector import dhash
from imagenet_nk.engine.cpu_count import cores
from imagenet_nk.formats import image_cost
from imagenet_nk.formats.pixels import open_image, to_rgb
from imagenet_nk.storage import files

SIDE = 112  # pixels of a thumbnail's side
_QUALITY = 78
_BACKGROUND = (128, 128, 128)
# All that Pillow's readers raise for files that are broken or gone.
_READ_ERRORS: tuple[type[Exception], ...] = (
    OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, KeyError, ArithmeticError, RuntimeError,
    AttributeError, MemoryError, Image.DecompressionBombError,
)  # fmt: skip


@dataclass(frozen=True)
class ContactStrip:
    """The thumbnails of one class, in one file."""

    dhashes: tuple[int, ...]  # 64-bit difference hash of each; 0 for a missing one
    missing: tuple[int, ...]  # positions in the strip whose file is gone or unreadable


def write(folder: Path, pictures: Mapping[str, Sequence[Path]]) -> dict[str, ContactStrip]:
    """Write folder/<wnid>.jpg, pictures side by side in the order given; a missing one is a grey square."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("n*.jpg"):
        if old.stem not in pictures:
            old.unlink()
    threads = 16 if any(map(files.is_remote, chain(*pictures.values()))) else cores()
    with ThreadPoolExecutor(threads, thread_name_prefix="thumbnails") as pool:
        strips: Iterator[ContactStrip] = pool.map(
            lambda item: _strip(folder / f"{item[0]}.jpg", item[1]),
            [item for item in pictures.items() if item[1]],
        )
        return dict(zip([wnid for wnid, paths in pictures.items() if paths], strips, strict=True))


def _strip(target: Path, paths: Sequence[Path]) -> ContactStrip:
    strip = Image.new("RGB", (SIDE * len(paths), SIDE), _BACKGROUND)
    dhashes, missing = [], []
    for position, path in enumerate(paths):
        small = thumbnail(path)
        if small is None:
            missing.append(position)
            dhashes.append(0)
            continue
        strip.paste(small, (SIDE * position, 0))
        dhashes.append(dhash(np.asarray(small)))
    with files.atomic_write(target) as part:
        strip.save(part, "JPEG", quality=_QUALITY, subsampling=2)
    return ContactStrip(tuple(dhashes), tuple(missing))


def thumbnail(path: Path) -> Image.Image | None:
    """The center crop of an image, SIDE x SIDE, RGB; None if it cannot be read."""
    try:
        data = path.read_bytes()
        image_cost.check(data)
        with open_image(data) as image:
            image.draft("RGB", (SIDE, SIDE))  # JPEG: decoded at the next larger eighth
            return ImageOps.fit(to_rgb(image), (SIDE, SIDE), Image.Resampling.BILINEAR)
    except _READ_ERRORS:
        return None
