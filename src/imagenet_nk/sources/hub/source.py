"""`source=hub`: a data set of parquet files or WebDataset shards, on the Hugging Face hub or on this machine."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from imagenet_nk.config.sources import Materialize
from imagenet_nk.errors import SourceError
from imagenet_nk.net.download import OutOfReachError
from imagenet_nk.reasons import Reason, Rejected
from imagenet_nk.sources.contract import (
    TRY_AGAIN,
    UNLISTED_KEY,
    BlockingCall,
    Candidate,
    CostModel,
    FetchedImage,
    ReadSteps,
    SourceContext,
    SourceTraits,
    candidates_in_order,
)
from imagenet_nk.sources.hub.catalogue import Catalogue
from imagenet_nk.sources.hub.files import DatasetFiles, HubFiles, LocalFiles
from imagenet_nk.wording import one_line

log = logging.getLogger(__name__)

TERMS = """\
Images of a data set that others publish on the Hugging Face hub; its page says under which terms. ImageNet's own terms
of access hold as well (https://image-net.org/download): non-commercial research and education.
"""


class Hub:
    """Shards come in an order drawn from the seed, and so do the row groups of a shard, so that all classes are filled
    from the same few. A class takes its images of one row group before the next; the sampling orders them within it.

    candidates() blocks until the next shard is indexed; the shards behind it are indexed meanwhile.
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
        """`dataset`: a name on the hub, or a path. `sorted_labels`: labels without names are positions in the sorted
        WNIDs.
        """
        self.dataset, self.split, self.revision, self.sorted_labels = dataset, split, revision, sorted_labels
        self._catalogue: Catalogue | None = None

    @property
    def identity(self) -> str:
        path = Path(self.dataset).expanduser()
        return f"hub:{path.resolve() if path.exists() else f'{self.dataset}@{self.revision}'}:{self.split}"

    def open(self, wnids: Sequence[str], context: SourceContext) -> None:
        """List the shards. Raises SourceError: it does not exist, is gated, has no shard of the split."""
        self._sampling = context.sampling
        path = Path(self.dataset).expanduser()
        files: DatasetFiles = LocalFiles(path) if path.exists() else HubFiles(self.dataset, self.revision)
        catalogue = Catalogue(files, self.split, context.sampling.seed, wnids, context, self.sorted_labels)
        listed = any(context.sampling.listed(wnid) is not None for wnid in wnids)
        if listed and isinstance(files, HubFiles) and catalogue.names[0].endswith(".tar"):
            raise SourceError(
                f"{self.dataset} has its image names inside its tars, so sampling=list would fetch them all; take "
                "a parquet data set, or fetch the tars and name their folder with source.dataset"
            )
        count, example = len(catalogue.names), min(catalogue.names)
        log.info("%s: %d shards of split %s, such as %s", self.dataset, count, self.split, example)
        self._catalogue = catalogue

    def candidates(self, wnid: str) -> Iterator[Candidate]:
        if wnid not in self._require_open().wnids:
            return iter(())
        if self._sampling.listed(wnid) is None:
            return self._drawn_candidates(wnid)
        urls: dict[str, str] = {}
        for row, url in chain.from_iterable(self._require_open().row_groups(wnid)):
            urls.setdefault(row.image_id, url)
        return candidates_in_order(self._sampling, wnid, urls)

    def read(self, candidate: Candidate) -> ReadSteps:
        if candidate.key.endswith(UNLISTED_KEY):
            return Rejected(Reason.UNLISTED, detail=self._require_open().incomplete_reason)
        if not candidate.url:
            return Rejected(Reason.MISSING, detail="listed, but not in the source")
        catalogue = self._require_open()
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

    def _drawn_candidates(self, wnid: str) -> Iterator[Candidate]:
        seen: set[str] = set()
        for group in self._require_open().row_groups(wnid):
            urls = {row.image_id: url for row, url in group if row.image_id not in seen}
            seen.update(urls)
            yield from (Candidate(image_id, wnid, urls[image_id]) for image_id in self._sampling.arrange(wnid, urls))
        if self._require_open().incomplete_reason:  # of any class
            yield Candidate(f"{wnid}{UNLISTED_KEY}", wnid, self.dataset)

    def _require_open(self) -> Catalogue:
        if self._catalogue is None:
            raise SourceError(f"{self.dataset} is not open; call open() first")
        return self._catalogue
