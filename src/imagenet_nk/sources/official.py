"""The official files of ILSVRC2012, fetched whole and checked by their MD5."""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from imagenet_nk.config.collecting import HttpConfig
from imagenet_nk.errors import SourceError
from imagenet_nk.net.download import download

log = logging.getLogger(__name__)

_CHUNK = 1 << 22
_LOG_EVERY_S = 10


@dataclass(frozen=True)
class OfficialFile:
    """A file that never changes."""

    url: str
    size: int  # bytes
    md5: str

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


_BASE = "https://image-net.org/data/ILSVRC/2012"
TRAIN = OfficialFile(f"{_BASE}/ILSVRC2012_img_train.tar", 147_897_477_120, "1d675b47d978889d74fa0da5fadfb00e")
VAL = OfficialFile(f"{_BASE}/ILSVRC2012_img_val.tar", 6_744_924_160, "29b22e2961454d5413ddabcf34fc5622")
DEVKIT = OfficialFile(f"{_BASE}/ILSVRC2012_devkit_t12.tar.gz", 2_568_634, "fa75699e90414af021442c21a62c3abf")


def fetch(file: OfficialFile, folder: Path, http: HttpConfig) -> Path:
    """The file under its own name in `folder`: there already, or fetched, from where an earlier run broke off.

    It gets its name only after its MD5 was right. Raises SourceError: no room, out of reach, another MD5.
    """
    to = folder / file.name
    if to.exists():
        return to
    unchecked = to.with_name(f"{file.name}.unchecked")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _require_room(file, unchecked)
    except OSError as error:
        raise SourceError(f"{folder} cannot be written ({error.strerror}); choose another source.root") from error
    if have := _bytes_fetched(unchecked):
        log.info(
            "fetching %s to %s goes on behind %s of %s", file.url, folder, _format_size(have), _format_size(file.size)
        )
    else:
        log.info("fetching %s (%s) to %s", file.url, _format_size(file.size), folder)
    download(file.url, unchecked, http, DownloadProgress(file.name), max_bytes=file.size)
    if (md5 := _md5(unchecked)) != file.md5:
        unchecked.unlink()
        raise SourceError(
            f"{file.url} is not what it should be (MD5 {md5}, wanted {file.md5}); it was removed: run again"
        )
    unchecked.with_name(f"{unchecked.name}.http.json").unlink(missing_ok=True)
    return unchecked.rename(to)


def _format_size(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"


def _bytes_fetched(unchecked: Path) -> int:
    """Bytes that an earlier run has left."""
    parts = unchecked, unchecked.with_name(f"{unchecked.name}.part")
    return sum(part.stat().st_size for part in parts if part.exists())


def _require_room(file: OfficialFile, unchecked: Path) -> None:
    lacks = file.size - _bytes_fetched(unchecked)
    free = shutil.disk_usage(unchecked.parent).free
    if free < lacks:
        raise SourceError(
            f"{file.name} needs {_format_size(lacks)} more in {unchecked.parent}, which has {_format_size(free)}; "
            "choose another source.root, or take a few images of each class with source=archive"
        )


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


class DownloadProgress:
    """Logs the bytes of a long download every few seconds."""

    def __init__(self, name: str) -> None:
        self._name, self._logged_at = name, time.monotonic()

    def __call__(self, done: int, size: int | None) -> None:
        if time.monotonic() - self._logged_at >= _LOG_EVERY_S:
            self._logged_at = time.monotonic()
            log.info("%s: %s%s", self._name, _format_size(done), f" of {_format_size(size)}" if size else "")
