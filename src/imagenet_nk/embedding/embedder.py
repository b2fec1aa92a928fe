"""The embeddings of a list: out of the store where they are, through the model where they are not."""

from __future__ import annotations

import copy
import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from imagenet_nk.backbones import autotune, devices, runtimes
from imagenet_nk.backbones.autotune import warn_if_slow_dtype
from imagenet_nk.backbones.model import Backbone
from imagenet_nk.backbones.runtimes import Runtime
from imagenet_nk.config import BackboneConfig, CentersConfig, Dtype, Keep, NonFinite, RuntimeChoice
from imagenet_nk.embedding import loader, parity
from imagenet_nk.embedding.executor import Executor, in_order
from imagenet_nk.embedding.messages import BackboneSpec
from imagenet_nk.engine.cpu_count import cores
from imagenet_nk.errors import CentersError
from imagenet_nk.preprocessing import row_cache
from imagenet_nk.preprocessing.factory import make_preprocessor, open_loader
from imagenet_nk.preprocessing.transforms import TimmPreprocessor
from imagenet_nk.preprocessing.types import EmbeddingBatch, SkippedImage

log = logging.getLogger(__name__)

READ = 1024  # rows of one reading from the store
WORTH_CALIBRATING = 256  # images below which a calibration costs more than it gains
KEEP_BELOW = 4 * 2**30  # bytes of embeddings that centers.cache_embeddings=auto keeps
NOT_FINITE = "its embedding is not finite"

Progress = Callable[[int, int], None]  # images done, images in all


class Embedder:
    """One backbone, and the embeddings that it gave so far. `faults` names the images that have none."""

    def __init__(
        self,
        built: Backbone,
        config: BackboneConfig,
        settings: CentersConfig,
        folder: Path,
        crew: Executor | None = None,
        seed: int = 0,
    ) -> None:
        """`crew`: who runs the model; None = this process. `seed`: the one that `built` was built with."""
        self.built, self.config, self.settings, self.folder = built, config, settings, folder
        self.crew, self.seed = crew, seed
        self.devices = devices.resolve_devices(crew.device(config.device) if crew else config.device)
        self.crops = make_preprocessor(built.data, config.preprocess, self.devices)
        self.lanes = config.threads if config.threads is not None else crew.threads if crew else cores()
        self.agreement: dict[str, float] | None = None  # with the reference; None where it is the reference
        self.faults: dict[Path, SkippedImage] = {}
        self.seconds = 0.0  # spent in passes, and the images that went through them
        self.embedded = 0
        self._chosen: Runtime | None = None

    @property
    def key(self) -> dict[str, str | int]:
        """What an embedding depends on beside the image."""
        return {
            "weights_sha256": self.built.sha256,
            "model": self.built.cache_key,
            "pixels": self.crops.identity,
            "dtype": str(self.config.dtype),
            "dim": self.built.dim,
        }

    def keeps(self, images: int) -> bool:
        """Whether the embeddings of so many images stay on disk."""
        return self.settings.cache_embeddings == Keep.always or (
            self.settings.cache_embeddings == Keep.auto and images * self.built.dim * 4 < KEEP_BELOW
        )

    def stream(self, paths: Sequence[Path], progress: Progress | None = None) -> Iterator[EmbeddingBatch]:
        """The embeddings of the images, in the order of the list; unreadable ones are left out and in `faults`."""
        if not self.keeps(len(paths)):
            yield from self._through_model(paths, range(len(paths)), progress, ordered=True)
            return
        key = self.key
        with row_cache.open_cache(self.folder, self.built.name, key, self.built.dim) as kept:
            if missing := [
                row for row in np.flatnonzero(kept.find(paths) < 0).tolist() if paths[row] not in self.faults
            ]:
                self.settled([paths[row] for row in missing])
                if self.key == key:
                    self._complete(kept, paths, missing, progress)
            rows = kept.find(paths)
        if self.key != key:  # the reference took over, and its store is another
            yield from self.stream(paths, progress)
            return
        for first in range(0, len(paths), READ):
            there = np.flatnonzero(rows[first : first + READ] >= 0) + first
            if len(there):
                yield EmbeddingBatch(there, kept.read(rows[there]), ())

    @property
    def skipped(self) -> list[dict[str, str]]:
        """The faults, as metrics.json has them."""
        return [{"path": str(path), "reason": fault.reason} for path, fault in sorted(self.faults.items())]

    def settled(self, images: Sequence[Path]) -> None:
        """Have it decided what runs the model, if that is decided here; `key` and `crops` may be others then."""
        if not (self.crew and self.crew.decides(self.config.device)):
            self.ready(images)

    def order(self, images: Sequence[Path]) -> BackboneSpec:
        """What workers are told, so that they give what this process would."""
        self.settled(images)
        config = self.config
        if config.checkpoint is not None:
            config = dataclasses.replace(config, checkpoint=str(Path(config.checkpoint).absolute()))
        if self._chosen:
            device = self.devices[0].type if len(self.devices) == 1 and self.on_cpu else config.device
            config = dataclasses.replace(config, runtime=RuntimeChoice(self._chosen.name), device=device)
        return BackboneSpec(config, self.settings, self.seed, self.key)

    @property
    def on_cpu(self) -> bool:
        return self.devices[0].type == "cpu"

    def ready(self, images: Sequence[Path]) -> Runtime:
        """What runs the model, found out and checked when the first image needs it; `images` are those to embed."""
        if self._chosen is None:
            if self.config.runtime != RuntimeChoice.openvino:  # which takes another type by itself
                warn_if_slow_dtype(self.config.dtype, self.devices[0])
            if self.config.batch_size is None:
                self.config = dataclasses.replace(self.config, batch_size=self._batch())
            calibrate = len(images) >= WORTH_CALIBRATING
            self._chosen = runtimes.select_runtime(
                self.built, self.devices, self.config, calibrate=calibrate, threads=self.lanes
            )
            self._agree(self._chosen, images)
        return self._chosen

    def _batch(self) -> int:
        ours = self.config.runtime != RuntimeChoice.openvino  # which may have arithmetic that PyTorch lacks here
        forward = runtimes.eager(self.built, self.devices[0], self.config.dtype if ours else Dtype.float32)
        return (autotune.cpu_batch_size if self.devices[0].type == "cpu" else autotune.gpu_batch_size)(
            self.built, forward
        )

    def _agree(self, chosen: Runtime, images: Sequence[Path]) -> None:
        """Measure how near its embeddings come to those of the reference; go back to it where that is not enough."""
        plain = isinstance(self.crops, TimmPreprocessor) and chosen.name in ("eager", "channels_last")
        if plain and self.config.dtype == Dtype.float32:
            return
        aside = dataclasses.replace(self.built, model=copy.deepcopy(self.built.model))  # its layout is not ours
        reference = runtimes.eager(aside, self.devices[0]), TimmPreprocessor(self.built.data)
        self.agreement = parity.measure(images, (chosen.forward, self.crops), reference)
        if self.agreement and not self.agreement["cosine_min"] >= parity.TOLERANCE:
            log.warning(
                "%s: %s, %s, %s pixels: cosine %.5f with the reference, below %s; back to the reference",
                *(self.built.name, chosen.name, self.config.dtype, self.config.preprocess),
                *(self.agreement["cosine_min"], parity.TOLERANCE),
            )
            self._chosen, self.crops = Runtime("eager", reference[0]), reference[1]
            self.config = dataclasses.replace(self.config, dtype=Dtype.float32)

    def _complete(
        self, kept: row_cache.RowCache, paths: Sequence[Path], missing: Sequence[int], progress: Progress | None
    ) -> None:
        if len(missing) < len(paths):
            there = len(paths) - len(missing)
            log.info("%s: %d of %d embeddings cached", self.built.name, there, len(paths))
        for part in self._through_model(paths, missing, progress):
            kept.append([paths[row] for row in part.rows], part.embeddings)

    def _through_model(
        self, paths: Sequence[Path], rows: Sequence[int], progress: Progress | None, *, ordered: bool = False
    ) -> Iterator[EmbeddingBatch]:
        before, done, started = len(self.faults), 0, time.perf_counter()
        for part in self._parts(paths, rows, ordered):
            whole = self.checked(part, paths)
            done += len(whole.rows) + len(whole.faults)
            if progress:
                progress(done, len(rows))
            if len(whole.rows):
                yield whole
        self._took(done, time.perf_counter() - started, len(self.faults) - before)

    def _parts(self, paths: Sequence[Path], rows: Sequence[int], ordered: bool) -> Iterator[EmbeddingBatch]:
        images = [paths[row] for row in rows]
        if self.crew:
            parts = self.crew.embed([self.order(images)], paths, rows)
            yield from in_order(parts, rows) if ordered else parts
            return
        runtime = self.ready(images)
        with open_loader(self.crops, images) as (load, gather):
            yield from loader.run(paths, rows, load, runtime.forward, gather=gather, **self.width)

    def _took(self, images: int, seconds: float, skipped: int) -> None:
        self.seconds, self.embedded = self.seconds + seconds, self.embedded + images
        log.info(
            "%s: %d images in %.1f s, %.1f images/s (%s); %d skipped",
            *(self.built.name, images, seconds, images / max(seconds, 1e-9), self._how, skipped),
        )

    @property
    def _how(self) -> str:
        if self.crew:
            return str(self.crew)
        return f"{self._chosen and self._chosen.name}, {self.lanes} lanes, {', '.join(map(str, self.devices))}"

    @property
    def width(self) -> dict[str, int]:
        """How many images go together, and through how many threads; a GPU gets two, so that it never waits for one."""
        runners = 0 if self.on_cpu else 2 * len(self.devices)
        return {"batch": self.config.batch_size or 1, "lanes": self.lanes, "devices": runners}

    def checked(self, part: EmbeddingBatch, paths: Sequence[Path]) -> EmbeddingBatch:
        """The slice without embeddings that are not finite; its faults are named."""
        whole = self.finite(part, paths)
        self._name(whole.faults)
        return whole

    def finite(self, part: EmbeddingBatch, paths: Sequence[Path]) -> EmbeddingBatch:
        """The slice without embeddings that are NaN or infinite, which are faults, or the end: CentersError."""
        finite = np.isfinite(part.embeddings).all(axis=1) if len(part.rows) else np.ones(0, bool)
        if finite.all():
            return part
        broken = [SkippedImage(int(row), paths[row], NOT_FINITE) for row in part.rows[~finite]]
        if self.settings.on_nonfinite == NonFinite["raise"]:
            exact = "" if self.config.dtype == Dtype.float32 else ", or backbone.dtype=float32"
            raise CentersError(
                f"the embedding of {broken[0].path} is not finite; type centers.on_nonfinite=skip to leave such images "
                f"out{exact}"
            )
        return EmbeddingBatch(part.rows[finite], part.embeddings[finite], (*part.faults, *broken))

    def _name(self, faults: Sequence[SkippedImage]) -> None:
        for fault in faults:
            if fault.path not in self.faults:
                log.warning("skipped %s: %s", fault.path, fault.reason)
            self.faults[fault.path] = fault
