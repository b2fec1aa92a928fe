"""Single images of data sets by the addresses that source=hub gave them: a row of a parquet file, a piece of a tar."""

from __future__ import annotations

import os
import re
import shutil
import threading
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from imagenet_nk.storage.locators import text_to_path

if TYPE_CHECKING:
    from imagenet_nk.sources.hub.files import Files

_ON_A_HUB = re.compile(
    r"(https?://[^/]+)/datasets/([^/]+/[^/]+|[^/]+)/resolve/([0-9a-f]{40})/([^#]+)#(row=\d+|bytes=\d+-\d+)\Z"
)
_HERE = re.compile(r"(/[^#]+\.parquet|file:///[^#]+\.parquet)#row=\d+\Z")


class _Shard(Protocol):
    def read(self, place: str) -> bytes: ...


class HubPlaces:
    """Reads images at such addresses; row groups are spooled, since their neighbours are wanted as a rule.

    Only the hub of the environment is asked: its token must not go wherever a manifest points.
    """

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._shards: dict[str, _Shard] = {}
        self._lock = threading.Lock()

    @staticmethod
    def holds(url: str) -> bool:
        """Whether an address is one of those."""
        hub = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
        match = _ON_A_HUB.match(url)
        return match[1] == hub if match else bool(_HERE.match(url))

    def read(self, url: str) -> bytes:
        """The bytes at an address. Blocks; raises SourceError where the place is at fault, OSError for damage."""
        file, _, place = url.rpartition("#")
        with self._lock:
            shard = self._shards.get(file) or self._shards.setdefault(file, self._shard(url))
        return shard.read(place)

    def _shard(self, url: str) -> _Shard:
        from imagenet_nk.sources.hub.files import HubFiles, LocalFiles
        from imagenet_nk.sources.hub.labels import Labels
        from imagenet_nk.sources.hub.shards import ParquetShard

        if match := _ON_A_HUB.match(url):
            files: Files = HubFiles(match[2], match[3])
            name = match[4]
        else:
            path = text_to_path(url.rpartition("#")[0])
            files, name = LocalFiles(path), path.name
        if "#bytes=" in url:
            return _Pieces(files, name)
        spool = self._spool / blake2b(files.where.encode(), digest_size=6).hexdigest()
        return ParquetShard(files, name, (), partial(Labels, reference={}), spool)

    def close(self) -> None:
        """Forget what was spooled."""
        self._shards.clear()
        shutil.rmtree(self._spool, ignore_errors=True)


class _Pieces:
    """Members of a tar by their offsets."""

    def __init__(self, files: Files, name: str) -> None:
        self._files, self._name = files, name

    def read(self, place: str) -> bytes:
        from imagenet_nk.sources.hub.files import read_piece

        return read_piece(self._files, self._name, place)
