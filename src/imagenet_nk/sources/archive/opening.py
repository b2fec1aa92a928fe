"""Opening the three forms of archive: the tar of tars, the flat tar of validation images, and one tar a class."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from imagenet_nk.classes.loading import clsloc_wnids
from imagenet_nk.errors import ContradictionError, SourceError
from imagenet_nk.formats import tar_headers
from imagenet_nk.image_ids import image_id
from imagenet_nk.net.download import OutOfReachError, download, is_url
from imagenet_nk.sources import devkit
from imagenet_nk.sources.archive import class_index, class_scan
from imagenet_nk.sources.archive.blocking_client import BlockingClient
from imagenet_nk.sources.archive.class_index import ClassIndex
from imagenet_nk.sources.archive.member_map import Member, MemberMap
from imagenet_nk.sources.archive.ranged_file import HttpFile, LocalFile, NoRangeError, RangeReadable
from imagenet_nk.sources.archive.tar_reader import MemberSizes, TarReader
from imagenet_nk.sources.archive.tar_stream import Streams
from imagenet_nk.sources.contract import SourceContext
from imagenet_nk.storage.locators import path_to_text

log = logging.getLogger(__name__)

_THREADS = 16  # that open one tar a class
_MAX_DEVKIT = 64 << 20
_HEAD = 1024


class OpenArchive:
    """What an archive has for the wanted classes."""

    def __init__(self, location: str, context: SourceContext) -> None:
        """`location`: of the file, or a template with {wnid}; the index of an earlier run is loaded."""
        self.identity = ""
        self.location, self.context = location, context
        self.streams, self._client = Streams(context.http), BlockingClient(context.http)
        self.readers: dict[str, TarReader] = {}
        self.images: dict[str, list[str]] = {}  # file stems by class, if a ground truth gives them
        self.streamed: set[str] = set()  # classes whose server sends whole files only
        self.stream_lengths: dict[str, int] = {}  # members of a streamed class, once its end has been read
        name = location if is_url(location) or self.is_template else str(Path(location).expanduser().resolve())
        self._index_path = class_index.index_path(context.index, name)
        self.index = ClassIndex.load(self._index_path)
        self._sizes = MemberSizes()

    @property
    def is_template(self) -> bool:
        return "{wnid}" in self.location

    def url(self, wnid: str) -> str:
        return self.location.replace("{wnid}", wnid)

    def address(self, wnid: str, member: Member) -> str:
        """Where the data of a member lies: what source=manifest needs to fetch it again."""
        url = self.url(wnid)
        file = url if is_url(url) else path_to_text(str(Path(url).expanduser().absolute()))
        first = (self.readers[wnid].offset if wnid in self.readers else 0) + member.start + tar_headers.BLOCK
        return f"{file}#bytes={first}-{first + member.header.size - 1}"

    def open_file(self, location: str, version: str = "") -> RangeReadable:
        """`version`: of an earlier run. Raises SourceError; NoRangeError if the server sends whole files only."""
        if is_url(location):
            return HttpFile(location, self.context.http, self._client.get, version)
        return LocalFile(Path(location).expanduser())

    def open_single_file(self) -> RangeReadable:
        """The file that holds all classes; an index of another version is discarded. Raises SourceError."""
        try:
            file = self.open_file(self.location)
        except NoRangeError as error:
            raise NoRangeError(
                f"{error}, all of it for a few images; give a copy on a server that honours Range, or one tar a class "
                "with source.synset="
            ) from error
        if self.index.version != file.version:
            self.index = ClassIndex(version=file.version)
        return file

    def add_reader(self, wnid: str, file: RangeReadable) -> None:
        """Make the tar of a class, which is in the index, ready to be read."""

        def key_of(member: Member) -> str:
            return image_id(wnid, member.stem or "")

        offset, members = self.index.tars[wnid]
        self.readers[wnid] = TarReader(file, offset, members, self._sizes, key_of, self.context.http.max_bytes)

    def invalidate(self, wnid: str, error: SourceError) -> None:
        """Remove from the index what an error at a class makes doubtful: all of it if the file contradicts it."""
        if isinstance(error, ContradictionError):
            self.index.clear()
        elif self.is_template:
            self.index.tars.pop(wnid, None)

    def save_index(self) -> None:
        self.index.save(self._index_path)

    def close(self) -> None:
        """Close all connections."""
        self.streams.close()
        self._client.close()


def open_train(archive: OpenArchive, wnids: Sequence[str]) -> None:
    """The tar of tars. Raises SourceError; NoRangeError where the server would send all of it."""
    file = archive.open_single_file()
    class_scan.find_class_tars(archive.index, file, wnids, archive.save_index)
    for wnid in wnids:
        if wnid in archive.index.tars:
            archive.add_reader(wnid, file)
    archive.identity = f"archive/{_digest(file)}"


def open_val(archive: OpenArchive, kit: str, wnids: Sequence[str]) -> None:
    """The flat tar; the ground truth of its devkit gives the class of each image. Raises SourceError."""
    http, path = archive.context.http, Path(kit).expanduser()
    if is_url(kit):
        path = archive.context.index / "lists" / f"{hashlib.sha256(kit.encode()).hexdigest()[:12]}-devkit.tar.gz"
        download(kit, path, http, max_bytes=_MAX_DEVKIT)
    images = devkit.val_images(path, clsloc_wnids())
    file = archive.open_single_file()
    if "val" not in archive.index.tars:
        head = file.read(0, _HEAD - 1)
        class_index.reject_gzip(head, archive.location)
        archive.index.tars["val"] = (0, class_index.map_from_head(file.size, head))
        if not len(archive.index.tars["val"][1]):
            raise SourceError(
                f"{archive.location} does not begin with an image; source.val takes ILSVRC2012_img_val.tar"
            )
    reader = TarReader(
        file, 0, archive.index.tars["val"][1], MemberSizes(), lambda member: member.stem or "", http.max_bytes
    )
    archive.images = {wnid: images[wnid] for wnid in wnids if wnid in images}
    archive.readers = dict.fromkeys(archive.images, reader)
    truth = hashlib.sha256("\n".join(f"{w} {','.join(s)}" for w, s in sorted(images.items())).encode()).hexdigest()
    archive.identity = f"archive/val/{_digest(file)}/{truth[:12]}"


def open_synsets(archive: OpenArchive, wnids: Sequence[str]) -> None:
    """One tar a class; classes without one are skipped. Raises SourceError if none can be read."""
    template = archive.location
    if not archive.is_template:
        raise SourceError(f"source.synset={template} needs {{wnid}} where the class's name belongs")
    with ThreadPoolExecutor(_THREADS) as pool:
        results = list(pool.map(partial(_open_class_tar, archive), wnids))
    problems = []
    for wnid, result in zip(wnids, results, strict=True):
        if isinstance(result, NoRangeError):
            archive.streamed.add(wnid)
        elif isinstance(result, SourceError):
            problems.append(result)
            if not isinstance(result, OutOfReachError):
                log.warning("skipped: %s", result)
        else:
            file, members = result
            archive.index.tars[wnid], archive.index.versions[wnid] = (0, members), file.version
            archive.add_reader(wnid, file)
    if problems and len(problems) == len(wnids):
        raise problems[0]
    if problems:
        log.info("%s: %d of %d classes have no tar that can be read", template, len(problems), len(wnids))
    if count := len(archive.streamed):
        log.warning("%s: the server ignores Range; %d tars are read from their beginning", template, count)
    archive.save_index()
    archive.identity = f"archive/{'stream/' if archive.streamed else ''}{'/'.join(template.split('/')[-2:])}"


def _open_class_tar(archive: OpenArchive, wnid: str) -> tuple[RangeReadable, MemberMap] | SourceError:
    """The tar of a class with its known members, or why it cannot be read in pieces."""
    index, location = archive.index, archive.url(wnid)
    try:
        if is_url(location) and wnid in index.tars:
            return archive.open_file(location, index.versions[wnid]), index.tars[wnid][1]
        file = archive.open_file(location)
        if wnid in index.tars and index.versions.get(wnid) == file.version:
            return file, index.tars[wnid][1]
        head = file.read(0, _HEAD - 1)
        class_index.reject_gzip(head, location)
        if not tar_headers.parse(head):
            return SourceError(f"{location} is no tar")
        return file, class_index.map_from_head(file.size, head)
    except SourceError as error:
        return error


def _digest(file: RangeReadable) -> str:
    """Size and beginning: the same for every copy of a file, wherever it lies."""
    return f"{file.size}-{hashlib.sha256(file.read(0, _HEAD - 1)).hexdigest()[:12]}"
