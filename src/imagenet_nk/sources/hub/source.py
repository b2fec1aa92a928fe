"""`source=hub`: a data set of parquet files or webdataset shards, on the Hugging Face hub or here."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from imagenet_nk.config.sources import Materialize
from imagenet_nk.errors import SourceError
from imagenet_nk.net.download import OutOfReachError
from imagenet_nk.reasons import Reason
from imagenet_nk.sources.contract import (
    TRY_AGAIN,
    UNLISTED_KEY,
    BlockingCall,
    Candidate,
    CostModel,
    FetchedImage,
    ReadSteps,
    Rejected,
    SourceContext,
    SourceTraits,
    candidates_in_order,
)
from imagenet_nk.sources.hub.catalogue import Catalogue
from imagenet_nk.sources.hub.files import Files, HubFiles, LocalFiles
from imagenet_nk.wording import one_line

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
    traits = SourceTraits(single_origin=True, cost=CostModel(success=0.99, requests=0.0, bytes=2.5))
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
        self._catalogue: Catalogue | None = None

    @property
    def identity(self) -> str:
        here = Path(self.dataset).expanduser()
        return f"hub:{here.resolve() if here.exists() else f'{self.dataset}@{self.revision}'}:{self.split}"

    def open(self, wnids: Sequence[str], site: SourceContext) -> None:
        """List the shards. Raises SourceError: not there, gated, no shard of the split."""
        self._sampling = site.sampling
        here = Path(self.dataset).expanduser()
        files: Files = LocalFiles(here) if here.exists() else HubFiles(self.dataset, self.revision)
        catalogue = Catalogue(files, self.split, site.sampling.seed, wnids, site, self.sorted_labels)
        listed = any(site.sampling.listed(wnid) is not None for wnid in wnids)
        if listed and isinstance(files, HubFiles) and catalogue.names[0].endswith(".tar"):
            raise SourceError(
                f"{self.dataset} has its image names inside its tars, so that sampling=list would fetch them all; take "
                "a parquet data set, or fetch the tars and name their folder with source.dataset"
            )
        count, example = len(catalogue.names), min(catalogue.names)
        log.info("%s: %d shards of split %s, such as %s", self.dataset, count, self.split, example)
        self._catalogue = catalogue

    def candidates(self, wnid: str) -> Iterator[Candidate]:
        if wnid not in self._opened.wnids:
            return iter(())
        if self._sampling.listed(wnid) is None:
            return self._drawn(wnid)
        places: dict[str, str] = {}
        for row, url in chain.from_iterable(self._opened.blocks(wnid)):
            places.setdefault(row.image_id, url)
        return candidates_in_order(self._sampling, wnid, places)

    def read(self, candidate: Candidate) -> ReadSteps:
        if candidate.key.endswith(UNLISTED_KEY):
            return Rejected(Reason.UNLISTED, detail=self._opened.lacks)
        if not candidate.url:
            return Rejected(Reason.MISSING, detail="listed, but not in the source")
        catalogue = self._opened
        try:
            data = yield BlockingCall(lambda: catalogue.read(candidate.url))
        except OutOfReachError as error:
            raise SourceError(f"{error}; {TRY_AGAIN}") from error
        except (OSError, ValueError) as error:
            return Rejected(Reason.UNREADABLE, transient=True, detail=one_line(error))
        return FetchedImage(candidate.key, data)

    def close(self) -> None:
        if self._catalogue is not None:
            self._catalogue.close()
            self._catalogue = None

    def _drawn(self, wnid: str) -> Iterator[Candidate]:
        seen: set[str] = set()
        for block in self._opened.blocks(wnid):
            places = {row.image_id: url for row, url in block if row.image_id not in seen}
            seen.update(places)
            yield from (
                Candidate(image_id, wnid, places[image_id]) for image_id in self._sampling.arrange(wnid, places)
            )
        if self._opened.lacks:  # of which classes, none knows
            yield Candidate(f"{wnid}{UNLISTED_KEY}", wnid, self.dataset)

    @property
    def _opened(self) -> Catalogue:
        if self._catalogue is None:
            raise SourceError(f"{self.dataset} is not open; call open() first")
        return self._catalogue
