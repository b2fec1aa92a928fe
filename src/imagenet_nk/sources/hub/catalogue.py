"""The shards of a data set in drawn order, each indexed when it is needed, and a few ahead."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from functools import cache, partial
from hashlib import blake2b
from typing import Any, TypeVar

from imagenet_nk.errors import SourceError
from imagenet_nk.net.download import OutOfReachError
from imagenet_nk.net.retry_policy import backoff_seconds
from imagenet_nk.sampling.draw_order import draw
from imagenet_nk.sources.contract import SourceContext
from imagenet_nk.sources.hub.files import DatasetFiles, find_shards
from imagenet_nk.sources.hub.labels import Labels, names_in_card
from imagenet_nk.sources.hub.shards import ParquetShard, Row, RowsByClass, Shard, TarShard

log = logging.getLogger(__name__)

T = TypeVar("T")
_ATTEMPTS = 3


class Catalogue:
    """Which images of the wanted classes a data set has, shard by shard."""

    def __init__(
        self,
        files: DatasetFiles,
        split: str,
        seed: int,
        wnids: Collection[str],
        context: SourceContext,
        sorted_labels: bool = False,
    ) -> None:
        """`context.index`: for cached images. `sorted_labels`: labels without names are positions in the sorted WNIDs.

        Raises SourceError if the data set has no shard of the split.
        """
        names = files.names()
        if not (shard_names := find_shards(names, split)):
            raise SourceError(
                f"{files.base_url} has no .parquet and no .tar of split {split!r} among its {len(names)} files"
                + (f", such as {min(names)}" if names else "")
                + "; check source.dataset and source.split"
            )
        self.names = sorted(shard_names, key=lambda name: (draw(seed, "shard", name), name))
        self.wnids = frozenset(wnids)
        self._files, self._seed, self._sorted_labels = files, seed, sorted_labels
        self._split = split
        self._warned: set[str] = set()  # kinds of warnings
        self._folder = context.index / f"hub-{blake2b(files.base_url.encode(), digest_size=6).hexdigest()}"
        self._shards = {name: self._shard(name) for name in self.names}
        self._indexes: dict[str, Future[RowsByClass]] = {}
        self._lock = threading.Lock()

    def row_groups(self, wnid: str) -> Iterator[list[tuple[Row, str]]]:
        """The images of a class with their addresses, by row group in drawn order. Blocks; raises SourceError."""
        for rank, name in enumerate(self.names):
            groups: dict[int, list[tuple[Row, str]]] = {}
            for row in self._index(rank).get(wnid, ()):
                groups.setdefault(row.row_group, []).append((row, f"{self._shards[name].url}#{row.fragment}"))
            for group in sorted(groups, key=lambda group: draw(self._seed, name, group)):
                yield groups[group]
        images = sum(shard.images for shard in self._shards.values())
        if not images and (reason := next((s.no_image_reason for s in self._shards.values() if s.no_image_reason), "")):
            raise SourceError(f"{reason}; name the folder of the images with source.dataset")
        if images and images == self._unlabelled:
            raise SourceError(
                f"{self._files.base_url}: none of the {images} images of split {self._split!r} has a label, as in a "
                "test split; type source.split=validation or another"
            )

    @property
    def incomplete_reason(self) -> str:
        """Why the shards that were indexed so far may hold more images than were found, one line; "" = they do not."""
        return next((shard.incomplete_reason for shard in self._shards.values() if shard.incomplete_reason), "")

    @property
    def _unlabelled(self) -> int:
        return sum(shard.unlabelled for shard in self._shards.values())

    def read(self, url: str) -> bytes:
        """The image at an address of `row_groups`. Blocks; raises OutOfReachError, and OSError for damage."""
        name, _, fragment = url.removeprefix(f"{self._files.base_url}/").rpartition("#")
        if name not in self._shards:
            raise OSError(f"{url} is not in {self._files.base_url}")
        return self._with_retries(lambda: self._shards[name].read(fragment))

    def close(self) -> None:
        """End downloads and delete the cache: what is needed again is fetched again."""
        if self._unlabelled:
            log.info("%s: %d images without a label were skipped in all", self._files.base_url, self._unlabelled)
        self._files.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _shard(self, name: str) -> Shard:
        form = ParquetShard if name.endswith(".parquet") else TarShard
        return form(self._files, name, self.wnids, self._labels, self._folder)

    def _labels(self, names: list[str] | None) -> Labels:
        """The labels of a shard, by its own class names, else by those in the card of the data set, if any."""
        names = names or names_in_card(self._files.card())
        return _cached_labels(tuple(names) if names else None, self._sorted_labels)

    def _index(self, rank: int) -> RowsByClass:
        ahead = self._shards[self.names[0]].ahead
        with self._lock:
            for name in self.names[rank : rank + 1 + ahead]:
                if name not in self._indexes:
                    self._indexes[name] = _start_thread(partial(self._with_retries, self._shards[name].index))
            future = self._indexes[self.names[rank]]
        rows = future.result()
        self._warn_about(self._shards[self.names[rank]], self.names[rank])
        return rows

    def _warn_about(self, shard: Shard, name: str) -> None:
        """Warn of images that an indexed shard has lost, and of the first shard that has images without labels."""
        if shard.incomplete_reason:
            self._warn_once(f"incomplete {name}", shard.incomplete_reason)
        if shard.no_image_reason:
            self._warn_once(f"no image {name}", shard.no_image_reason)
        if shard.unlabelled:
            self._warn_once(
                "unlabelled",
                f"{self._files.base_url}: {shard.unlabelled} of the {shard.images} images of {name} have no label and "
                "are skipped, as are those of other shards",
            )

    def _warn_once(self, kind: str, text: str) -> None:
        with self._lock:
            level = logging.DEBUG if kind in self._warned else logging.WARNING
            self._warned.add(kind)
        log.log(level, "%s", text)

    def _with_retries(self, work: Callable[[], T]) -> T:
        """The result of the work, which is repeated while the data set is out of reach. Raises its last error."""
        for attempt in range(_ATTEMPTS - 1):
            try:
                return work()
            except OutOfReachError as error:
                self._warn_once("retry", f"{error}; trying again")
                time.sleep(backoff_seconds(attempt + 1))
        return work()


def _start_thread(work: Callable[[], RowsByClass]) -> Future[RowsByClass]:
    """Run on a thread of its own, for which an interrupted process does not wait, as it would for a pool's."""
    future: Future[RowsByClass] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where the result is needed
            future.set_exception(error)

    threading.Thread(target=run, name="hub", daemon=True).start()
    return future


@cache
def _cached_labels(names: tuple[str, ...] | None, sorted_labels: bool) -> Labels:
    from timm.data.imagenet_info import ImageNetInfo  # imports torch, which --help does not need

    info: Any = ImageNetInfo()
    return Labels(names, {wnid: info.label_name_to_description(wnid) for wnid in info.label_names()}, sorted_labels)
