"""The three forms of archive, opened: the tar of tars, the flat tar of validation images, and one tar a class."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import requests

from imagenet_nk.classes.loading import clsloc_wnids
from imagenet_nk.errors import ContradictionError, SourceError
from imagenet_nk.formats import tar_headers
from imagenet_nk.image_ids import image_id
from imagenet_nk.net.download import OutOfReachError, download, is_remote
from imagenet_nk.sources import devkit
from imagenet_nk.sources.archive import class_index, class_scan
from imagenet_nk.sources.archive.class_index import Index
from imagenet_nk.sources.archive.member_map import Member, MemberMap
from imagenet_nk.sources.archive.ranged_file import HttpFile, LocalFile, NoRangeError, RangeReadable
from imagenet_nk.sources.archive.tar_reader import Sizes, TarReader
from imagenet_nk.sources.archive.tar_stream import Streams
from imagenet_nk.sources.contract import SourceContext
from imagenet_nk.storage.locators import path_to_text

log = logging.getLogger(__name__)

THREADS = 16  # that open one tar a class
_MAX_DEVKIT = 64 << 20
_HEAD = 1024


@dataclass
class OpenArchive:
    """What an archive has for the wanted classes."""

    identity: str
    location: str  # of the file, or with {wnid}
    web: requests.Session
    streams: Streams
    spans: dict[str, TarReader] = field(default_factory=dict)
    images: dict[str, list[str]] = field(default_factory=dict)  # file stems by class, where a ground truth tells
    streamed: set[str] = field(default_factory=set)  # classes whose server sends whole files only
    ends: dict[str, int] = field(default_factory=dict)  # members of a streamed class, once its end was seen
    index: Index = field(default_factory=Index)  # what is kept for the next run
    file: Path | None = None  # where that is kept

    def url(self, wnid: str) -> str:
        return self.location.replace("{wnid}", wnid)

    def address(self, wnid: str, member: Member) -> str:
        """Where the data of a member lies: what source=manifest needs to fetch it again."""
        url = self.url(wnid)
        place = url if is_remote(url) else path_to_text(str(Path(url).expanduser().absolute()))
        first = (self.spans[wnid].offset if wnid in self.spans else 0) + member.start + tar_headers.BLOCK
        return f"{place}#bytes={first}-{first + member.header.size - 1}"

    def doubt(self, wnid: str, error: SourceError) -> None:
        """Leave to the next run nothing that an error at a class casts doubt upon.

        A class's own tar may have gone; where answers contradict each other, any may have been a lie, in whatever run.
        """
        if isinstance(error, ContradictionError):
            self.index.forget()
        elif "{wnid}" in self.location:
            self.index.spans.pop(wnid, None)

    def close(self) -> None:
        if self.file:
            self.index.save(self.file)
        self.streams.close()
        self.web.close()


def open_train(location: str, wnids: Sequence[str], site: SourceContext, web: requests.Session) -> OpenArchive:
    """The tar of tars. Raises SourceError; NoRangeError where the server would send all of it."""
    there = OpenArchive("", location, web, Streams(web, site.http))
    place = _place(location, site, there.web)
    index, file = _index(location, place, site)
    class_scan.hop(index, place, wnids, lambda: index.save(file))
    sizes = Sizes()
    for wnid in wnids:
        if wnid in index.spans:
            offset, known = index.spans[wnid]
            there.spans[wnid] = _span(place, offset, known, sizes, wnid, site)
    there.identity = f"archive/{_digest(place)}"
    there.index, there.file = index, file
    return there


def open_val(location: str, kit: str, wnids: Sequence[str], site: SourceContext, web: requests.Session) -> OpenArchive:
    """The flat tar with the classes that the devkit gives. Raises SourceError."""
    there = OpenArchive("", location, web, Streams(web, site.http))
    path = Path(kit).expanduser()
    if is_remote(kit):
        path = site.index / "lists" / f"{hashlib.sha256(kit.encode()).hexdigest()[:12]}-devkit.tar.gz"
        download(kit, path, site.http, max_bytes=_MAX_DEVKIT)
    clsloc = clsloc_wnids()
    images = devkit.val_images(path, clsloc)
    place = _place(location, site, there.web)
    index, file = _index(location, place, site)
    if "val" not in index.spans:
        head = place.read(0, _HEAD - 1)
        class_index.refuse_packed(head, location)
        index.spans["val"] = (0, class_index.first_known(place.size, head))
        if not len(index.spans["val"][1]):
            raise SourceError(f"{location} does not begin with an image; source.val takes ILSVRC2012_img_val.tar")
    sizes = Sizes()
    span = TarReader(place, 0, index.spans["val"][1], sizes, lambda m: m.stem or "", site.http.max_bytes)
    there.images = {wnid: images[wnid] for wnid in wnids if wnid in images}
    there.spans = dict.fromkeys(there.images, span)
    truth = hashlib.sha256("\n".join(f"{w} {','.join(s)}" for w, s in sorted(images.items())).encode()).hexdigest()
    there.identity = f"archive/val/{_digest(place)}/{truth[:12]}"
    there.index, there.file = index, file
    return there


def open_synsets(template: str, wnids: Sequence[str], site: SourceContext, web: requests.Session) -> OpenArchive:
    """One tar a class; one that is not there is left out. Raises SourceError if none can be read."""
    if "{wnid}" not in template:
        raise SourceError(f"source.synset={template} needs {{wnid}} where the class's name belongs")
    there = OpenArchive("", template, web, Streams(web, site.http))
    file = class_index.file_of(site.index, template)
    index, sizes = Index.load(file), Sizes()
    with ThreadPoolExecutor(THREADS) as pool:
        heads = list(pool.map(partial(_head, index, there, site), wnids))
    problems = []
    for wnid, result in zip(wnids, heads, strict=True):
        if isinstance(result, NoRangeError):
            there.streamed.add(wnid)
        elif isinstance(result, SourceError):
            problems.append(result)
            if not isinstance(result, OutOfReachError):
                log.warning("left out: %s", result)
        else:
            place, known = result
            index.spans[wnid], index.versions[wnid] = (0, known), place.version
            there.spans[wnid] = _span(place, 0, known, sizes, wnid, site)
    if problems and len(problems) == len(wnids):
        raise problems[0]
    if problems:
        log.info("%s: %d of %d classes are not there", template, len(problems), len(wnids))
    if there.streamed:
        log.warning(
            "%s: the server ignores Range; %d tars are read from their beginning", template, len(there.streamed)
        )
    index.save(file)
    there.identity = f"archive/{'stream/' if there.streamed else ''}{'/'.join(template.split('/')[-2:])}"
    there.index, there.file = index, file
    return there


def _head(
    index: Index, there: OpenArchive, site: SourceContext, wnid: str
) -> tuple[RangeReadable, MemberMap] | SourceError:
    """The class's tar, with what is known of it, or why it cannot be read in pieces."""
    location = there.url(wnid)
    try:
        if is_remote(location) and wnid in index.spans:
            kept: RangeReadable = HttpFile(location, site.http, there.web, version=index.versions[wnid])
            return kept, index.spans[wnid][1]
        place = _place(location, site, there.web)
        if wnid in index.spans and index.versions.get(wnid) == place.version:
            return place, index.spans[wnid][1]
        head = place.read(0, _HEAD - 1)
        class_index.refuse_packed(head, location)
        if not tar_headers.parse(head):
            return SourceError(f"{location} is no tar")
        return place, class_index.first_known(place.size, head)
    except SourceError as error:
        return error


def _place(location: str, site: SourceContext, web: requests.Session) -> RangeReadable:
    if not is_remote(location):
        return LocalFile(Path(location).expanduser())
    try:
        return HttpFile(location, site.http, web)
    except NoRangeError as error:
        raise NoRangeError(
            f"{error}, all of it for a few images; give a copy on a server that honours Range, or one tar a class with "
            "source.synset="
        ) from error


def _index(location: str, place: RangeReadable, site: SourceContext) -> tuple[Index, Path]:
    """The kept index of this version of the file, else an empty one; and where it belongs."""
    name = location if is_remote(location) else str(Path(location).expanduser().resolve())
    file = class_index.file_of(site.index, name)
    index = Index.load(file)
    return (index if index.version == place.version else Index(version=place.version)), file


def _digest(place: RangeReadable) -> str:
    """The same for each copy of a file, wherever it lies: its size and its beginning."""
    return f"{place.size}-{hashlib.sha256(place.read(0, _HEAD - 1)).hexdigest()[:12]}"


def _span(
    place: RangeReadable, offset: int, known: MemberMap, sizes: Sizes, wnid: str, site: SourceContext
) -> TarReader:
    def key_of(member: Member) -> str:
        return image_id(wnid, member.stem or "")

    return TarReader(place, offset, known, sizes, key_of, site.http.max_bytes)
