"""Single images of data sets by the addresses that source=hub gave them: a row of a parquet file, a range of a tar."""

from __future__ import annotations

import os
import re
import shutil
import threading
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_nk.storage.locators import text_to_path

if TYPE_CHECKING:
    from collections.abc import Callable

_HUB_URL = re.compile(
    r"(https?://[^/]+)/datasets/([^/]+/[^/]+|[^/]+)/resolve/([0-9a-f]{40})/([^#]+)#(row=[0-9]{1,18}|bytes=[0-9]{1,18}-[0-9]{1,18})\Z"
)
_LOCAL_URL = re.compile(r"(/[^#]+\.parquet|file:///[^#]+\.parquet)#row=[0-9]{1,18}\Z")


class HubPlaces:
    """Reads images at such addresses; row groups are cached on disk, since other rows of them are likely to follow.

    Only the hub of the environment is contacted: its token must not go wherever a manifest points.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._readers: dict[str, Callable[[str], bytes]] = {}
        self._lock = threading.Lock()

    @staticmethod
    def can_read(url: str) -> bool:
        """Whether an address is one of those."""
        hub = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
        match = _HUB_URL.match(url)
        return match[1] == hub if match else bool(_LOCAL_URL.match(url))

    def read(self, url: str) -> bytes:
        """The bytes at an address. Blocks; raises SourceError if the hub is at fault, OSError for damage."""
        file, _, fragment = url.rpartition("#")
        with self._lock:
            reader = self._readers.get(file) or self._readers.setdefault(file, self._reader(url))
        return reader(fragment)

    def _reader(self, url: str) -> Callable[[str], bytes]:
        from imagenet_nk.sources.hub.files import DatasetFiles, HubFiles, LocalFiles, read_range
        from imagenet_nk.sources.hub.labels import Labels
        from imagenet_nk.sources.hub.shards import ParquetShard

        if match := _HUB_URL.match(url):
            files: DatasetFiles = HubFiles(match[2], match[3])
            name = match[4]
        else:
            path = text_to_path(url.rpartition("#")[0])
            files, name = LocalFiles(path), path.name
        if "#bytes=" in url:
            return partial(read_range, files, name)
        folder = self._folder / blake2b(files.base_url.encode(), digest_size=6).hexdigest()
        return ParquetShard(files, name, (), partial(Labels, reference={}), folder).read

    def close(self) -> None:
        """Delete the cache."""
        self._readers.clear()
        shutil.rmtree(self._folder, ignore_errors=True)
