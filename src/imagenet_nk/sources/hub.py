"""`source=hub`: a data set of parquet files or webdataset shards, on the Hugging Face hub or here."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from imagenet_nk.config import Materialize
from imagenet_nk.errors import SourceError
from imagenet_nk.sampling import Sampling, draw
from imagenet_nk.sources.base import Site, in_order
from imagenet_nk.sources.hub_files import Files, HubFiles, LocalFiles, shards
from imagenet_nk.sources.hub_labels import Labels, names_in_card
from imagenet_nk.sources.hub_shards import Index, ParquetShard, Shard, TarShard
from imagenet_nk.wire import Call, Candidate, Found, Rejected, Steps

log = logging.getLogger(__name__)

TERMS = """\
Images of a data set that others publish on the Hugging Face hub; its page says under which terms. ImageNet's own terms
of access hold as well (https://image-net.org/download): non-commercial research and education.
"""


class Hub:
    """Shards come in an order drawn from the seed, and so do the blocks (row groups) of a shard: all classes fill from
    the same few. A class takes its images of one block before the next; within a block the sampling orders them.

    candidates() blocks where the next shard is not indexed yet; the shards that follow are being indexed meanwhile.
    """

    name = "hub"
    terms = TERMS
    materialize = Materialize.copy

    def __init__(
        self,
        dataset: str = "ILSVRC/imagenet-1k",
        split: str = "train",
        revision: str = "main",
        sorted_labels: bool = False,
    ) -> None:
        """`dataset`: a name on the hub, or a folder or file here. `sorted_labels`: labels without names are numbers in
        sorted-WNID order.
        """
        self.dataset, self.split, self.revision, self.sorted_labels = dataset, split, revision, sorted_labels
        self._workers: ThreadPoolExecutor | None = None

    @property
    def identity(self) -> str:
        here = Path(self.dataset).expanduser()
        return f"hub:{here.resolve() if here.exists() else f'{self.dataset}@{self.revision}'}:{self.split}"

    def open(self, wnids: Sequence[str], site: Site) -> None:
        """List the shards. Raises SourceError: not there, gated, no shard of the split, hub extra not installed."""
        self._sampling, self._wnids = site.sampling, frozenset(wnids)
        here = Path(self.dataset).expanduser()
        self._files: Files = LocalFiles(here) if here.exists() else HubFiles(self.dataset, self.revision)
        self._order = self._shards_in_order()
        if self._order[0].endswith(".tar") and isinstance(self._files, HubFiles) and _lists(site.sampling, wnids):
            raise SourceError(
                f"{self.dataset} has its image names inside its tars, so that sampling=list would fetch them all; take "
                "a parquet data set, or fetch the tars and name their folder with source.dataset"
            )
        self._spool = site.index / f"hub-{blake2b(self._files.where.encode(), digest_size=6).hexdigest()}"
        self._shards = {name: self._shard(name) for name in self._order}
        self._indexed: dict[str, Future[Index]] = {}
        self._lock = threading.Lock()
        self._workers = ThreadPoolExecutor(max_workers=8, thread_name_prefix="hub")
        log.info("%s: %d shards of split %s, such as %s", self.dataset, len(self._order), self.split, min(self._order))

    def _shards_in_order(self) -> list[str]:
        names = self._files.names()
        if not (found := shards(names, self.split)):
            raise SourceError(
                f"{self.dataset} has no .parquet and no .tar of split {self.split!r} among its {len(names)} files"
                + (f", such as {min(names)}" if names else "")
                + "; check source.dataset and source.split"
            )
        return sorted(found, key=lambda name: (draw(self._sampling.seed, "shard", name), name))

    def _shard(self, name: str) -> Shard:
        kind = ParquetShard if name.endswith(".parquet") else TarShard
        return kind(self._files, name, self._wnids, self._labels_of, self._spool)

    def _labels_of(self, names: list[str] | None) -> Labels:
        """The labels of a shard that carries these class names itself, or has them in the card, or nowhere."""
        names = names or names_in_card(self._files.card())
        return _labels(tuple(names) if names else None, self.sorted_labels)

    def candidates(self, wnid: str) -> Iterator[Candidate]:
        if wnid not in self._wnids:
            return iter(())
        if self._sampling.listed(wnid) is None:
            return self._drawn(wnid)
        places: dict[str, str] = {}
        for rank, name in enumerate(self._order):
            for row in self._index(rank).get(wnid, ()):
                places.setdefault(row.image_id, self._url(name, row.place))
        return in_order(self._sampling, wnid, places)

    def read(self, candidate: Candidate) -> Steps:
        if not candidate.url:
            return Rejected("missing", detail="listed, but not in the source")
        name, _, place = candidate.url.removeprefix(f"{self._files.where}/").rpartition("#")
        try:
            data = yield Call(lambda: self._shards[name].read(place))
        except (OSError, KeyError, ValueError) as error:
            return Rejected("unreadable", transient=True, detail=" ".join(str(error).split()))
        return Found(candidate.key, data)

    def close(self) -> None:
        """Forget what was spooled: it is fetched again where it is needed again."""
        if self._workers is not None:
            self._workers.shutdown(wait=True, cancel_futures=True)
            self._workers = None
            shutil.rmtree(self._spool, ignore_errors=True)

    def _drawn(self, wnid: str) -> Iterator[Candidate]:
        seen: set[str] = set()
        for rank, name in enumerate(self._order):
            rows = self._index(rank).get(wnid, [])
            for block in sorted({row.block for row in rows}, key=lambda block: draw(self._sampling.seed, name, block)):
                places = {row.image_id: row.place for row in rows if row.block == block and row.image_id not in seen}
                seen.update(places)
                for image_id in self._sampling.arrange(wnid, places):
                    yield Candidate(image_id, wnid, self._url(name, places[image_id]))

    def _index(self, rank: int) -> Index:
        if self._workers is None:
            raise SourceError(f"{self.dataset} is not open; call open() first")
        ahead = self._shards[self._order[0]].ahead
        with self._lock:
            for name in self._order[rank : rank + 1 + ahead]:
                if name not in self._indexed:
                    self._indexed[name] = self._workers.submit(self._shards[name].index)
            future = self._indexed[self._order[rank]]
        return future.result()

    def _url(self, name: str, place: str) -> str:
        return f"{self._files.where}/{name}#{place}"


def _lists(sampling: Sampling, wnids: Sequence[str]) -> bool:
    return any(sampling.listed(wnid) is not None for wnid in wnids)


@cache
def _labels(names: tuple[str, ...] | None, sorted_labels: bool) -> Labels:
    from timm.data.imagenet_info import ImageNetInfo  # brings torch, which --help need not wait for

    info: Any = ImageNetInfo()
    return Labels(names, {wnid: info.label_name_to_description(wnid) for wnid in info.label_names()}, sorted_labels)
