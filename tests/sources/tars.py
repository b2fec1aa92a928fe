"""Tars for tests: of drawn pictures, with every surprise that a tar can hold."""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Iterable

import numpy as np
from PIL import Image

A, B, C = "n01440764", "n01443537", "n02119789"


def jpeg(seed: int, side: int | None = None) -> bytes:
    """A noisy little picture; with no side given, of a size of its own."""
    rng = np.random.default_rng(seed)
    side = side or int(rng.integers(8, 72))
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def members(wnid: str, count: int, *, side: int | None = None, serials: Iterable[int] = ()) -> list[tuple[str, bytes]]:
    """(name, data) of the images of a class; serial numbers rise unless given."""
    rng = random.Random(wnid)
    numbers = list(serials) or sorted(rng.sample(range(1, 20000), count))
    return [(f"{wnid}_{n}.JPEG", jpeg(n * 31 + int(wnid[1:]) % 1009, side)) for n in numbers]


def tar(files: Iterable[tuple[str | tarfile.TarInfo, bytes]], *, form: int = tarfile.GNU_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as out:
        for name, data in files:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def train(classes: dict[str, list[tuple[str, bytes]]]) -> bytes:
    """A tar of tars, as ILSVRC2012_img_train.tar is."""
    return tar((f"{wnid}.tar", tar(files)) for wnid, files in classes.items())


def devkit(truth: Iterable[int], *, meta: bytes | None = None) -> bytes:
    buffer = io.BytesIO()
    folder = "ILSVRC2012_devkit_t12/data"
    files = {f"{folder}/ILSVRC2012_validation_ground_truth.txt": "".join(f"{i}\n" for i in truth).encode()}
    if meta is not None:
        files[f"{folder}/meta.mat"] = meta
    with tarfile.open(fileobj=buffer, mode="w:gz") as out:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
