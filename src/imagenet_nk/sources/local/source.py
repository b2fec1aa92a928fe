"""`source=full`: a copy of ImageNet on this machine, in any layout that people have."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from imagenet_nk.config.sources import Materialize, NumberOrder, Part
from imagenet_nk.dataset.folder_layout import IMAGES, SPARE
from imagenet_nk.errors import SourceError
from imagenet_nk.image_ids import distinct_ids
from imagenet_nk.lists import list_file
from imagenet_nk.reasons import Reason, Rejected
from imagenet_nk.sources import official
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
from imagenet_nk.sources.local import addresses, layouts
from imagenet_nk.sources.local.folders import Listing
from imagenet_nk.sources.local.layouts import Question
from imagenet_nk.sources.official import DEVKIT, TRAIN, VAL, OfficialFile
from imagenet_nk.storage.locators import path_to_text, text_to_path

_UNMOUNTED = frozenset({errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN})  # a network file system

log = logging.getLogger(__name__)

TERMS = """\
Images of a local copy of ImageNet. They stay under ImageNet's terms of access (https://image-net.org/download):
non-commercial research and education, and no right to pass the images on.
"""

OFFICIAL = {Part.train: (TRAIN,), Part.val: (DEVKIT, VAL)}


class Full:
    """Candidates are the files of a class; a class is listed when its candidates are requested."""

    name = "full"
    terms = TERMS

    def __init__(
        self,
        root: str | Sequence[str],
        part: Part = Part.train,
        materialize: Materialize = Materialize.link,
        download: bool = False,
        order: NumberOrder | None = None,
        official: Mapping[Part, Sequence[OfficialFile]] = OFFICIAL,
    ) -> None:
        """`root`: a folder, a tar or a zip, or several. `download`: fetch the official files of the part if root has
        nothing of it. `order`: what numbers of classes mean.
        """
        self.roots = [Path(one).expanduser() for one in ([root] if isinstance(root, str) else root)]
        self.root = ",".join(map(str, self.roots)) if len(self.roots) == 1 else f"[{','.join(map(str, self.roots))}]"
        self._order = NumberOrder(order) if order else None
        self.part, self.materialize = Part(part), Materialize(materialize)
        self._official = official[self.part] if download else ()
        self.traits = SourceTraits(
            single_origin=True, cost=CostModel(success=1.0, requests=0.0), downloads=self._downloads
        )

    @property
    def identity(self) -> str:
        places = ",".join(str(root.resolve()) for root in self.roots)
        return f"full:{places}:{self.part}" + (f":{self._order}" if self._order else "")

    def _downloads(self) -> Sequence[tuple[str, int]]:
        return [(file.name, file.size) for file in self._missing_files]

    @property
    def _missing_files(self) -> Sequence[OfficialFile]:
        """What open() fetches first."""
        try:
            there = layouts.find_layout(self.roots[0], Question(self.part, self._order)) if self._official else None
        except SourceError:  # something is there; open() says what is wrong with it
            return ()
        return self._official if there is None else ()

    def open(self, wnids: Sequence[str], context: SourceContext) -> None:
        """Detect the layout of source.root. Raises SourceError if it has no image of the wanted classes."""
        if self.materialize is Materialize.none and not all(
            list_file.can_hold(str(root.absolute())) for root in self.roots
        ):
            raise SourceError(
                f"source.root={str(self.root)!r} is a path that no list can hold; rename it, or type "
                "source.materialize=link"
            )
        for file in self._missing_files:
            official.fetch(file, self.roots[0], context.http)
        self._layout = layouts.detect(self.roots, Question(self.part, self._order, context.index))
        self._reject_own_dataset(context.index.parent)
        self._sampling = context.sampling
        self._incomplete_reasons: dict[str, str] = {}  # by class that has been listed; "" = it is complete
        available = [wnid for wnid in wnids if wnid in self._layout.wnids]
        if not available:
            raise SourceError(
                f"source.root={self.root} has none of the {len(wnids)} wanted classes; it is "
                f"{self._layout.description} with {len(self._layout.wnids)} classes, such as {min(self._layout.wnids)}"
            )
        if len(available) < len(wnids):
            log.warning(
                "source.root=%s has %d of the %d wanted classes; the others have no images, unless "
                "source@fallback=archive is typed; for fewer classes type classes.wnids=FILE",
                *(self.root, len(available), len(wnids)),
            )
        self._require_readable_class(available)
        log.info(
            "%s: %s, with %d of the %d wanted classes",
            *(self.root, self._layout.description, len(available), len(wnids)),
        )

    def candidates(self, wnid: str) -> Iterator[Candidate]:
        """The images of a class; if not all could be listed, then one more that stands for the others."""
        files, reason = self._list(wnid)
        if reason and reason not in self._incomplete_reasons.values():
            log.warning("%s", reason)
        self._incomplete_reasons[wnid] = reason
        yield from candidates_in_order(
            self._sampling, wnid, dict(zip(distinct_ids(wnid, files), files.values(), strict=True))
        )
        if reason and self._sampling.listed(wnid) is None:  # of a list, each missing image is missed by its name
            yield Candidate(f"{wnid}{UNLISTED_KEY}", wnid, path_to_text(str(self.roots[0].absolute())))

    def _reject_own_dataset(self, dataset: Path) -> None:
        """Raise SourceError for the images of the very data set that is to be made: it moves its files about."""
        own = [(dataset / name).resolve() for name in (IMAGES, SPARE)]
        for folder in self._layout.folders:
            if any(folder.resolve().is_relative_to(one) for one in own):
                raise SourceError(
                    f"source.root={self.root} is the folder of this very data set, which moves what is not kept out of "
                    f"{folder}; type dataset.dir=ANOTHER"
                )

    def _require_readable_class(self, wnids: Sequence[str]) -> None:
        """Raise SourceError if no wanted class can be read; ends at the first that can."""
        reasons = []
        for wnid in wnids:
            files, reason = self._list(wnid)
            if files or not reason:
                return
            reasons.append(reason)
        raise SourceError(
            f"source.root={self.root}: none of the {len(reasons)} wanted classes can be read: {reasons[0]}"
        )

    def _list(self, wnid: str) -> Listing:
        """The images of a class; none if it cannot be listed, unless the whole root is gone."""
        try:
            return self._layout.list_images(wnid)
        except SourceError as error:
            self._raise_if_gone(error.__cause__)
            return Listing({}, str(error))

    def _raise_if_gone(self, error: BaseException | None) -> None:
        unmounted = isinstance(error, OSError) and error.errno in _UNMOUNTED
        if unmounted or not all(root.exists() for root in self.roots):
            problem = error.strerror if isinstance(error, OSError) else error
            raise SourceError(f"source.root={self.root} is gone ({problem}); {TRY_AGAIN}") from error

    def read(self, candidate: Candidate) -> ReadSteps:
        reason = self._incomplete_reasons.get(candidate.wnid, "")
        if candidate.key.endswith(UNLISTED_KEY):
            return Rejected(Reason.UNLISTED, detail=reason)
        if not candidate.url:
            return Rejected(Reason.MISSING, detail=reason or "listed, but not in the source")
        if self.materialize is Materialize.none and not list_file.can_hold(str(text_to_path(candidate.url))):
            return Rejected(
                Reason.BAD_NAME, detail="no list can hold its path: rename it, or type source.materialize=link"
            )
        try:
            data, path = yield BlockingCall(lambda: addresses.read(candidate.url))
        except OSError as error:
            self._raise_if_gone(error)
            if isinstance(error, FileNotFoundError):
                return Rejected(Reason.MISSING, detail=candidate.url)
            return Rejected(Reason.UNREADABLE, detail=error.strerror or str(error))
        return FetchedImage(candidate.key, data, path=path)

    def close(self) -> None:
        """Nothing stays open between reads."""
