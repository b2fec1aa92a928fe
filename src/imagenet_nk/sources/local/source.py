"""`source=full`: ImageNet as it already lies on this machine, in any layout that people have."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from imagenet_nk.config.sources import Materialize, Part
from imagenet_nk.dataset.folder_layout import IMAGES, SPARE
from imagenet_nk.errors import SourceError
from imagenet_nk.image_ids import distinct_ids
from imagenet_nk.lists import list_file
from imagenet_nk.reasons import Reason
from imagenet_nk.sources import official
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
from imagenet_nk.sources.local import layouts
from imagenet_nk.sources.local.folders import Listing
from imagenet_nk.sources.official import DEVKIT, TRAIN, VAL, OfficialFile
from imagenet_nk.storage.locators import path_to_text, text_to_path

_AWAY = frozenset({errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN})  # a disk of another machine

log = logging.getLogger(__name__)

TERMS = """\
Images of a local copy of ImageNet. They stay under ImageNet's terms of access (https://image-net.org/download):
non-commercial research and education, and no right to pass the images on.
"""

OFFICIAL = {Part.train: (TRAIN,), Part.val: (DEVKIT, VAL)}


class Full:
    """Candidates are the files of a class; nothing is listed before its class is asked for."""

    name = "full"
    terms = TERMS

    def __init__(
        self,
        root: str,
        part: Part = Part.train,
        materialize: Materialize = Materialize.link,
        download: bool = False,
        official: Mapping[Part, Sequence[OfficialFile]] = OFFICIAL,
    ) -> None:
        """`root`: a folder, or a tar. `download`: fetch the official files of the part if root has nothing of it."""
        self.root = Path(root).expanduser()
        self.part, self.materialize = Part(part), Materialize(materialize)
        self._official = official[self.part] if download else ()
        self.traits = SourceTraits(
            single_origin=True, cost=CostModel(success=1.0, requests=0.0), downloads=self._downloads
        )

    @property
    def identity(self) -> str:
        return f"full:{self.root.resolve()}:{self.part}"

    def _downloads(self) -> Sequence[tuple[str, int]]:
        return [(file.name, file.size) for file in self._to_fetch]

    @property
    def _to_fetch(self) -> Sequence[OfficialFile]:
        """What open() would fetch first."""
        return self._official if self._official and layouts.find(self.root, self.part) is None else ()

    def open(self, wnids: Sequence[str], site: SourceContext) -> None:
        """Find out what source.root holds. Raises SourceError if that is nothing of the wanted classes."""
        if self.materialize is Materialize.none and not list_file.can_hold(str(self.root.absolute())):
            raise SourceError(
                f"source.root={str(self.root)!r} is a path that no list can hold; rename it, or type "
                "source.materialize=link"
            )
        for file in self._to_fetch:
            official.fetch(file, self.root, site.http)
        self._layout = layouts.recognise(self.root, self.part)
        self._require_another(site.index.parent)
        self._sampling = site.sampling
        self._lacks: dict[str, str] = {}  # by class: why not all of it could be listed, or ""
        here = sum(wnid in self._layout.wnids for wnid in wnids)
        if not here:
            raise SourceError(
                f"source.root={self.root} has none of the {len(wnids)} wanted classes; it is {self._layout.what} "
                f"with {len(self._layout.wnids)} classes, such as {min(self._layout.wnids)}"
            )
        self._require_one(wnids)
        log.info("%s: %s, with %d of the %d wanted classes", self.root, self._layout.what, here, len(wnids))

    def candidates(self, wnid: str) -> Iterator[Candidate]:
        """The images of a class; behind them one that no reading gives, if not all of them could be listed."""
        files, lacks = self._listing(wnid)
        yield from candidates_in_order(
            self._sampling, wnid, dict(zip(distinct_ids(wnid, files), files.values(), strict=True))
        )
        if lacks and self._sampling.listed(wnid) is None:  # of a list, each lost image is missed by its name
            yield Candidate(f"{wnid}{UNLISTED_KEY}", wnid, path_to_text(str(self.root.absolute())))

    def _require_another(self, dataset: Path) -> None:
        """Raise SourceError for the images of the very data set that is to be made: it moves its files about."""
        folder = getattr(self._layout, "folder", None)
        if folder and any(folder.resolve().is_relative_to((dataset / own).resolve()) for own in (IMAGES, SPARE)):
            raise SourceError(
                f"source.root={self.root} is the folder of this very data set, which moves what is not kept out of "
                f"{folder}; type dataset.dir=ANOTHER"
            )

    def _require_one(self, wnids: Sequence[str]) -> None:
        """Raise SourceError if no wanted class can be read; ends at the first that can."""
        said = []
        for wnid in wnids:
            if wnid in self._layout.wnids:
                files, lacks = self._listed(wnid)
                if files or not lacks:
                    return
                said.append(lacks)
        raise SourceError(f"source.root={self.root}: none of the {len(said)} wanted classes can be read: {said[0]}")

    def _listed(self, wnid: str) -> Listing:
        """The images of a class; none where it cannot be listed: its fault alone, as long as the root is there."""
        try:
            return self._layout.files(wnid)
        except SourceError as error:
            self._raise_if_gone(error.__cause__)
            return Listing({}, str(error))

    def _raise_if_gone(self, error: BaseException | None) -> None:
        away = isinstance(error, OSError) and error.errno in _AWAY
        if away or not self.root.exists():
            said = error.strerror if isinstance(error, OSError) else error
            raise SourceError(f"source.root={self.root} is gone ({said}); {TRY_AGAIN}") from error

    def _listing(self, wnid: str) -> Listing:
        listing = self._listed(wnid)
        if listing.lacks and listing.lacks not in self._lacks.values():
            log.warning("%s", listing.lacks)
        self._lacks[wnid] = listing.lacks
        return listing

    def read(self, candidate: Candidate) -> ReadSteps:
        if candidate.key.endswith(UNLISTED_KEY):
            return Rejected(Reason.UNLISTED, detail=self._lacks.get(candidate.wnid, ""))
        if not candidate.url:
            return Rejected(Reason.MISSING, detail=self._lacks.get(candidate.wnid) or "listed, but not in the source")
        if self.materialize is Materialize.none and not list_file.can_hold(str(text_to_path(candidate.url))):
            return Rejected(
                Reason.BAD_NAME, detail="no list can hold its path: rename it, or type source.materialize=link"
            )
        try:
            data, path = yield BlockingCall(lambda: self._layout.read(candidate.url))
        except OSError as error:
            self._raise_if_gone(error)
            if isinstance(error, FileNotFoundError):
                return Rejected(Reason.MISSING, detail=candidate.url)
            return Rejected(Reason.UNREADABLE, detail=error.strerror or str(error))
        return FetchedImage(candidate.key, data, path=path)

    def close(self) -> None:
        """Nothing stays open between reads."""
