"""One tar, tgz or zip that holds the images of all classes."""

from __future__ import annotations

import logging
import shutil
from hashlib import blake2b
from pathlib import Path

from imagenet_nk.config.sources import NumberOrder, Part
from imagenet_nk.errors import SourceError
from imagenet_nk.formats import tar_headers
from imagenet_nk.formats.gzip_stream import DamagedError, gunzip
from imagenet_nk.formats.magic import GZIP, HEAD, kind_of
from imagenet_nk.image_ids import WNID
from imagenet_nk.sources.local.grouping import (
    Files,
    GroupedImages,
    group_by_path,
    group_by_truth,
    images_of_part,
    part_of,
)
from imagenet_nk.sources.local.tables import SOLUTION, GroundTruth
from imagenet_nk.sources.local.tars import ClassTars, TarOfTars, entries
from imagenet_nk.sources.local.zips import list_zip
from imagenet_nk.sources.official import DEVKIT
from imagenet_nk.storage.files import atomic_write
from imagenet_nk.storage.locators import path_to_text
from imagenet_nk.wording import one_line, plural

log = logging.getLogger(__name__)

_ZIP = b"PK\3\4"
_MOST_TIMES, _FREE = 20, 1 << 30  # images hardly shrink: what unpacks to more is no tar of images


def open_packed(
    file: Path, part: Part, order: NumberOrder | None, truth: GroundTruth | None, unpacked: Path | None
) -> ClassTars | TarOfTars | GroupedImages:
    """The layout of an archive. Raises SourceError, also if it has no image of a class and the part, with what it has.

    `truth`: the class of images by their names; `unpacked`: the folder for tars that were gzip'ed.
    """
    head = _head(file)
    if head.startswith(_ZIP):
        return _grouped(file, list_zip(file), "", part, order, truth)
    if head.startswith(GZIP):
        tar = gunzip_once(file, unpacked)
    elif WNID.match(file.stem) and part is Part.train:
        return ClassTars([file])
    else:
        _require_tar(file, head)
        tar = file
    return _open_tar(tar, file, part, order, truth)


def _open_tar(
    tar: Path, named: Path, part: Part, order: NumberOrder | None, truth: GroundTruth | None
) -> TarOfTars | GroupedImages:
    problems = list[str]()
    try:
        found = list(entries(tar, on_damage=problems.append))
    except SourceError as error:
        raise SourceError(str(error).replace(str(tar), str(named))) from error
    problem = "".join(problems).replace(str(tar), str(named))
    if part is Part.train and (tars := TarOfTars(tar, found, problem)).wnids:
        return tars
    path = path_to_text(str(tar.absolute()))
    files = {entry.path.removeprefix("./"): f"{path}#{entry.range}" for entry in found if entry.size}
    return _grouped(named, files, problem, part, order, truth)


def _grouped(
    file: Path, files: Files, problem: str, part: Part, order: NumberOrder | None, truth: GroundTruth | None
) -> GroupedImages:
    images = images_of_part(files, part)
    if truth and (by_class := group_by_truth(images, truth, str(file))):
        return GroupedImages(
            f"images in {file.name} with a table of their classes, read in place", by_class, truth, problem
        )
    if by_class := group_by_path(images, order, str(file)):
        return GroupedImages(
            f"images of {plural(len(by_class), 'class', 'classes')} in {file.name}", by_class, None, problem
        )
    if problem and not images:
        raise SourceError(problem)
    raise SourceError(f"source.root={file} {_contents(files, part)}")


def _contents(files: Files, part: Part) -> str:
    """What an archive without images of the part has, and what to type."""
    if part is Part.train and any(_is_validation(path) for path in files):
        return "holds validation images, no training images; type source.part=val for these"
    beside = f" and no {SOLUTION} or {DEVKIT.name} is beside it" if part is Part.val else ""
    return (
        f"holds no <wnid>.tar, and no images in folders or with names of classes{beside}; it has "
        f"{plural(len(files), 'file')}{f', such as {min(files)}' if files else ''}; name another, or unpack it"
    )


def _is_validation(path: str) -> bool:
    return "ILSVRC2012_val_" in path or any(part_of(name) is Part.val for name in path.split("/")[:-1])


def gunzip_once(file: Path, folder: Path | None) -> Path:
    """The tar in a gzip'ed one, unpacked into a folder where it stays for further runs. Raises SourceError."""
    status = file.stat()
    key = f"{file.resolve()} {status.st_size} {status.st_mtime_ns}"
    if folder is None:
        raise SourceError(f"{file} is gzip'ed, and there is no folder to unpack it into")
    tar = folder / f"unpacked-{blake2b(key.encode(errors='surrogateescape'), digest_size=8).hexdigest()}.tar"
    if tar.is_file():
        return tar
    log.info("%s: unpacking it into %s, where it stays", file, tar)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        limit = min(_FREE + _MOST_TIMES * status.st_size, shutil.disk_usage(folder).free - _FREE)
        with atomic_write(tar) as part, part.open("wb") as sink:
            _write(file, sink, limit)
    except OSError as error:
        raise SourceError(f"{file} cannot be unpacked into {folder}: {one_line(error)}") from error
    return tar


def _write(file: Path, sink: object, limit: int) -> None:
    written = 0
    try:
        for piece in gunzip(file):
            written += len(piece)
            if written > limit:
                raise SourceError(
                    f"{file} unpacks to more than {limit} bytes: a gzip bomb, or the disk of dataset.dir is too small; "
                    "unpack it elsewhere, and name that folder with source.root"
                )
            sink.write(piece)  # type: ignore[attr-defined]
    except DamagedError as error:
        if not written:
            raise SourceError(f"{file} is damaged: {error}; fetch it again") from error
        log.warning("%s is damaged (%s): only the images before that are used", file, error)


def _require_tar(file: Path, head: bytes) -> None:
    """Raise SourceError for a file that is no tar, with what it is."""
    kind = kind_of(head) or ("text" if head else "empty")
    if not tar_headers.parse(head) and kind not in ("a tar", "no text"):
        raise SourceError(
            f"source.root={file} is {kind}, no tar, tgz or zip; name the folder, or the tar, of the images"
        )


def _head(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(HEAD)
    except OSError as error:
        raise SourceError(f"source.root={file} cannot be read: {error.strerror}") from error
