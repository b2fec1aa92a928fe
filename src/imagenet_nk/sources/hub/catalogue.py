"""The shards of a data set in drawn order, each indexed when it is asked for, and a few ahead."""

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
from imagenet_nk.sampling.draw_order import draw
from imagenet_nk.sources.contract import SourceContext
from imagenet_nk.sources.hub.files import Files, shards
from imagenet_nk.sources.hub.labels import Labels, names_in_card
from imagenet_nk.sources.hub.shards import Index, ParquetShard, Row, Shard, TarShard

log = logging.getLogger(__name__)

T = TypeVar("T")
_TRIES = 3


class Catalogue:
    """Which images of the wanted classes a data set has, shard by shard."""

    def __init__(
        self,
        files: Files,
        split: str,
        seed: int,
        wnids: Collection[str],
        site: SourceContext,
        sorted_labels: bool = False,
    ) -> None:
        """`site.index`: for what is spooled. `sorted_labels`: labels without names count the sorted WNIDs.

        Raises SourceError if the data set has no shard of the split.
        """
        names = files.names()
        if not (found := shards(names, split)):
            raise SourceError(
                f"{files.where} has no .parquet and no .tar of split {split!r} among its {len(names)} files"
                + (f", such as {min(names)}" if names else "")
                + "; check source.dataset and source.split"
            )
        self.names = sorted(found, key=lambda name: (draw(seed, "shard", name), name))
        self.wnids = frozenset(wnids)
        self._files, self._seed, self._sorted_labels = files, seed, sorted_labels
        self._split, self._pause = split, site.http.backoff
        self._told: set[str] = set()  # what was warned of
        self._spool = site.index / f"hub-{blake2b(files.where.encode(), digest_size=6).hexdigest()}"
        self._shards = {name: self._shard(name) for name in self.names}
        self._indexed: dict[str, Future[Index]] = {}
        self._lock = threading.Lock()

    def blocks(self, wnid: str) -> Iterator[list[tuple[Row, str]]]:
        """The images of a class, those of a drawn block together, each with its address. Waits; raises SourceError."""
        for rank, name in enumerate(self.names):
            by_block: dict[int, list[tuple[Row, str]]] = {}
            for row in self._index(rank).get(wnid, ()):
                by_block.setdefault(row.block, []).append((row, f"{self._files.where}/{name}#{row.place}"))
            for block in sorted(by_block, key=lambda block: draw(self._seed, name, block)):
                yield by_block[block]
        images = sum(shard.images for shard in self._shards.values())
        if images and images == sum(shard.unlabelled for shard in self._shards.values()):
            raise SourceError(
                f"{self._files.where}: none of the {images} images of split {self._split!r} has a label, as in a test "
                "split; type source.split=validation or another"
            )

    @property
    def lacks(self) -> str:
        """Why the shards that were indexed so far may hold more than was found, one line; "" = they do not."""
        return next((shard.lacks for shard in self._shards.values() if shard.lacks), "")

    def read(self, url: str) -> bytes:
        """The image at an address of `blocks`. Blocks; raises OutOfReachError, and OSError for what is damaged."""
        name, place = self._at(url)
        if name not in self._shards:
            raise OSError(f"{url} is not in {self._files.where}")
        return self._persistent(lambda: self._shards[name].read(place))

    def _at(self, url: str) -> tuple[str, str]:
        name, _, place = url.removeprefix(f"{self._files.where}/").rpartition("#")
        return name, place

    def close(self) -> None:
        """End what is on its way, and forget what was spooled: it is fetched again where it is needed again."""
        if unlabelled := sum(shard.unlabelled for shard in self._shards.values()):
            log.info("%s: %d images without a label were passed over in all", self._files.where, unlabelled)
        self._files.close()
        shutil.rmtree(self._spool, ignore_errors=True)

    def _shard(self, name: str) -> Shard:
        kind = ParquetShard if name.endswith(".parquet") else TarShard
        return kind(self._files, name, self.wnids, self._labels, self._spool)

    def _labels(self, names: list[str] | None) -> Labels:
        """The labels of a shard that carries these class names itself, or has them in the card, or nowhere."""
        names = names or names_in_card(self._files.card())
        return _labels(tuple(names) if names else None, self._sorted_labels)

    def _index(self, rank: int) -> Index:
        ahead = self._shards[self.names[0]].ahead
        with self._lock:
            for name in self.names[rank : rank + 1 + ahead]:
                if name not in self._indexed:
                    self._indexed[name] = _in_background(partial(self._persistent, self._shards[name].index))
            future = self._indexed[self.names[rank]]
        index = future.result()
        self._warn(self.names[rank])
        return index

    def _warn(self, name: str) -> None:
        """Say what an indexed shard lacks; of images without labels, for the first one that has any."""
        shard = self._shards[name]
        if shard.lacks:
            self._once(f"lacks {name}", shard.lacks)
        if shard.unlabelled:
            self._once(
                "unlabelled",
                f"{self._files.where}: {shard.unlabelled} of the {shard.images} images of {name} have no label, and "
                "are passed over, as are those of other shards",
            )

    def _once(self, kind: str, text: str) -> None:
        with self._lock:
            level = logging.DEBUG if kind in self._told else logging.WARNING
            self._told.add(kind)
        log.log(level, "%s", text)

    def _persistent(self, work: Callable[[], T]) -> T:
        """What the work gives, tried again a few times where the place of a data set is out of reach.

        What makes no sense is read once more: it may have been damaged on the way. Raises the work's error.
        """
        for again in range(_TRIES):
            try:
                return work()
            except OutOfReachError as error:
                if again == _TRIES - 1:
                    raise
                self._once("again", f"{error}; trying again")
                time.sleep(self._pause * 2**again)
            except SourceError as error:
                if again:
                    raise
                log.debug("%s; reading that once more", error)
        raise AssertionError


def _in_background(work: Callable[[], Index]) -> Future[Index]:
    """On a thread of its own, which an interrupted process does not wait for, as it would for a pool's."""
    future: Future[Index] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            future.set_exception(error)

    threading.Thread(target=run, name="hub", daemon=True).start()
    return future


@cache
def _labels(names: tuple[str, ...] | None, sorted_labels: bool) -> Labels:
    from timm.data.imagenet_info import ImageNetInfo  # brings torch, which --help need not wait for

    info: Any = ImageNetInfo()
    return Labels(names, {wnid: info.label_name_to_description(wnid) for wnid in info.label_names()}, sorted_labels)
