"""Where the pixels of a pass come from: decoded, or out of the crops that an earlier backbone left on disk."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imagenet_nk.config import Cache
from imagenet_nk.config import PreprocessBackend as Wanted
from imagenet_nk.errors import BackboneError, CentersError
from imagenet_nk.preprocessing import row_cache
from imagenet_nk.preprocessing.gpu import GpuPreprocessor
from imagenet_nk.preprocessing.transforms import (
    UNREADABLE,
    Preprocessor,
    RGBArray,
    TimmPreprocessor,
    TorchPreprocessor,
    UndecodableError,
)
from imagenet_nk.preprocessing.types import Collate, Preprocess, fault
from imagenet_nk.storage import files

log = logging.getLogger(__name__)

Read = Callable[[Path], bytes]

SPARE = 2**30  # bytes that stay free on the disk


def choose(data: Mapping[str, Any], wanted: Wanted, devices: Sequence[torch.device]) -> Preprocessor:
    """The crops that a configuration asks for. Raises BackboneError for a transform that they cannot be made by."""
    if wanted != Wanted.gpu:
        return TorchPreprocessor(data) if wanted == Wanted.torch else TimmPreprocessor(data)
    if len(devices) > 1:  # torchvision has one decoder a process, and builds it anew for another GPU
        raise BackboneError(
            "backbone.preprocess=gpu uses one GPU per process; type backbone.device=cuda:0, or backbone.preprocess=timm"
        )
    if devices[0].type != "cuda":
        log.warning("backbone.preprocess=gpu: there is no GPU in use, so torchvision decodes on the CPU instead")
    return GpuPreprocessor(data, devices[0] if devices[0].type == "cuda" else torch.device("cpu"))


@contextmanager
def loader(
    crops: Preprocessor, cache: Cache, folder: Path, images: Sequence[Path]
) -> Iterator[tuple[Preprocess, Collate]]:
    """How a pass over `images` gets its pixels: one image, then a batch of what that gave.

    With cache=crops, what is decoded stays in `folder` as uint8.
    """
    with ExitStack() as stack:
        kept = _opened(stack, crops, folder) if cache == Cache.crops else None
        if kept is None:
            read = stack.enter_context(files.reader(images))
            yield (lambda path: crops(read(path))), crops.batch
            return
        rows = kept.find(images)
        there = {path: int(row) for path, row in zip(images, rows, strict=True) if row >= 0}
        log.info("%d of %d crops are there from before", len(there), len(images))
        writes = _has_room(folder, kept.dim * (len(images) - len(there)))
        read = stack.enter_context(files.reader([path for path in images if path not in there]))
        known = _Kept(crops, read, kept, there, writes=writes)
        yield known.load, known.batch


def _opened(stack: ExitStack, crops: Preprocessor, folder: Path) -> row_cache.RowCache | None:
    """Where crops are kept, until the stack is left; None, and a line that says why, if they cannot be."""
    if isinstance(crops, GpuPreprocessor):
        log.warning("cache=crops keeps no crops of backbone.preprocess=gpu: they never leave the device")
        return None
    height, width = crops.size
    what = f"{height}x{width}", {"crops": crops.spatial}, height * width * 3, np.uint8
    try:
        return stack.enter_context(row_cache.opened(folder, *what))
    except CentersError as error:
        log.warning("%s; crops are not kept", error)
        return None


def _has_room(folder: Path, needed: int) -> bool:
    """Whether so many bytes go on the disk beside those that stay free."""
    free = shutil.disk_usage(folder).free
    if needed + SPARE > free:
        log.warning(
            "crops are not kept: they need %.1f GB in %s beside the 1 GB that stays free, and %.1f GB are free",
            *(needed / 1e9, folder, free / 1e9),
        )
    return needed + SPARE <= free


class _Kept:
    """Crops out of a store, and into it. One that cannot be kept, or is not what was kept, costs its decoding."""

    def __init__(
        self, crops: Preprocessor, read: Read, kept: row_cache.RowCache, there: Mapping[Path, int], writes: bool
    ) -> None:
        self.crops, self.read, self.kept, self.there, self.writes = crops, read, kept, there, writes
        self.lock, self.damage_said = Lock(), False

    def load(self, path: Path) -> RGBArray | _Row:
        """The pixels of an image, or its row in the store, which is read with its batch."""
        if (row := self.there.get(path)) is not None:
            return _Row(row, path)
        pixels: RGBArray = self.crops(self.read(path))
        self._keep(path, pixels)
        return pixels

    def batch(self, items: Sequence[RGBArray | _Row]) -> Any:
        """(B, H, W, 3). Raises UndecodableError."""
        asked = [item for item in items if isinstance(item, _Row)]
        rows = np.array([item.number for item in asked], np.int64)
        found = self._read(rows)
        whole = self.kept.intact(rows, found)
        crops = found.reshape(-1, *self.crops.size, 3)
        if len(asked) == len(items) and whole.all():
            return crops
        anew = self._anew([item.path for item, good in zip(asked, whole, strict=True) if not good])
        ready = iter([crops[n] if good else next(anew) for n, good in enumerate(whole)])
        given = [next(ready) if isinstance(item, _Row) else item for item in items]
        if lost := {place: item for place, item in enumerate(given) if isinstance(item, str)}:
            raise UndecodableError(lost)
        return self.crops.batch(given)

    def _read(self, rows: NDArray[np.int64]) -> RGBArray:
        try:
            return self.kept.read(rows)
        except OSError as error:
            log.debug("crops cannot be read: %s", error)
            return np.zeros((len(rows), self.kept.dim), np.uint8)  # which are not intact

    def _anew(self, paths: Sequence[Path]) -> Iterator[RGBArray | str]:
        """Pixels of images whose crops are not what was kept, or why there are none."""
        if paths and not self.damage_said:
            self.damage_said = True
            log.warning("crops in %s are damaged (first: that of %s): decoded anew", self.kept.folder, paths[0])
        with files.reader(paths) as read:
            for path in paths:
                try:
                    pixels = self.crops(read(path))
                except UNREADABLE as error:
                    yield fault(error)
                    continue
                self._keep(path, pixels)
                yield pixels

    def _keep(self, path: Path, pixels: RGBArray) -> None:
        with self.lock:
            if self.writes:
                try:
                    self.kept.append([path], pixels.reshape(1, -1))
                except CentersError as error:
                    self.writes = False
                    log.warning("%s; no more crops are kept", error)


@dataclass(frozen=True, slots=True)
class _Row:
    """The crop of an image in the store."""

    number: int
    path: Path
