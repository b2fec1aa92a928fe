"""Files in an object store, or anywhere else that fsspec reaches, behind the functions of files.py."""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Any, cast

from imagenet_nk.errors import DatasetError
from imagenet_nk.storage.naming import PART, Status, temp_path
from imagenet_nk.wording import one_line

THREADS = 16  # requests at a time; they wait, they do not compute
_PREFETCH = 256  # files read ahead, some 30 MB

# A single put is atomic there, and folders exist only as prefixes of names.
_OBJECTS = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "oci", "memory"})
_READ_ONLY = frozenset({"http", "https"})
_EXTRAS = {"s3fs": "'imagenet-nk[s3]'"}  # what to install for a package; others by their own name
_STAMPS = ("ETag", "etag", "md5Hash", "content_md5", "LastModified", "mtime", "created", "last_modified")


def resolve(url: str) -> Path:
    """The path of a URL. Raises DatasetError for an unknown protocol, or one whose package is not installed."""
    protocol, _, rest = url.partition("://")
    if protocol == "file":
        return Path(f"/{rest.lstrip('/')}")
    if protocol in _READ_ONLY:
        raise DatasetError(
            f"{url}: nothing can be written there; dataset.dir is a folder, or a URL such as s3://BUCKET"
        )
    if not rest.strip("/"):
        raise DatasetError(f"{url} names no bucket; type {protocol}://BUCKET/FOLDER")
    try:
        import upath
        from fsspec import get_filesystem_class
        from fsspec.registry import known_implementations
    except ImportError as error:
        raise DatasetError(f"{url} needs universal_pathlib; type: pip install 'imagenet-nk[remote]'") from error
    try:
        get_filesystem_class(protocol)
    except ValueError as error:
        raise DatasetError(
            f"{url}: there is no protocol {protocol!r}; fsspec knows s3, gs, az, sftp and more"
        ) from error
    except ImportError as error:
        package = known_implementations[protocol]["class"].partition(".")[0]
        raise DatasetError(f"{url} needs {package}; type: pip install {_EXTRAS.get(package, package)}") from error
    return cast(Path, upath.UPath(url.rstrip("/"), use_listings_cache=False))  # other processes write as well


def describe_error(error: Exception, folder: Path | str) -> str:
    """One line about an error while a folder was used."""
    text, kind = one_line(error), type(error).__name__
    if "Credential" in kind or "GoogleAuth" in kind:
        return f"no credentials for {folder} ({text}): set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    if "Connect" in kind or "Endpoint" in kind:
        return f"{folder} is out of reach ({text}): check the network and AWS_ENDPOINT_URL"
    if isinstance(error, FileNotFoundError):
        return f"{folder} is not there ({text}): make the bucket, or choose another dataset.dir"
    if isinstance(error, PermissionError):
        return f"{folder} cannot be written ({text}): check credentials and policy, or choose another dataset.dir"
    return f"{folder} cannot be used: {text}"


def third_party_errors() -> Iterator[type[Exception]]:
    """Exceptions of imported packages that are no OSError."""
    for module, names in (
        ("botocore.exceptions", ("BotoCoreError", "ClientError")),
        ("gcsfs.retry", ("HttpError",)),
        ("google.auth.exceptions", ("GoogleAuthError",)),
        ("azure.core.exceptions", ("AzureError",)),
        ("aiohttp", ("ClientError",)),
    ):
        if module in sys.modules:
            yield from (getattr(sys.modules[module], name) for name in names)


def fs_and_path(path: Any) -> tuple[Any, str]:
    """The fsspec file system of a path, and the path in it."""
    return path.fs, path.path


# --- writing


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    files, name = fs_and_path(path)
    if has_atomic_put(path):
        files.pipe_file(name, data)
        return
    files.makedirs(files._parent(name), exist_ok=True)
    part = fs_and_path(temp_path(path))[1]
    files.pipe_file(part, data)
    files.mv(part, name)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """The name of a local file to write within the block; it is put at `path` when the block ends well."""
    with tempfile.TemporaryDirectory(prefix="imagenet-nk-") as folder:
        part = Path(folder) / path.name
        yield part
        files, name = fs_and_path(path)
        if has_atomic_put(path):
            files.put_file(str(part), name)
            return
        files.makedirs(files._parent(name), exist_ok=True)
        temporary = fs_and_path(temp_path(path))[1]
        files.put_file(str(part), temporary)
        files.mv(temporary, name)


def create_exclusive(path: Path, data: bytes) -> bytes:
    """Write a file unless it exists; returns its content afterwards."""
    files, name = fs_and_path(path)
    try:
        files.pipe_file(name, data, mode="create")
    except FileExistsError:
        return path.read_bytes()
    except (NotImplementedError, TypeError, ValueError):  # no such mode in this store
        if not is_file(path):
            write_bytes(path, data)
        return path.read_bytes()
    return data


def move(path: Path, to: Path) -> None:
    """Copy and remove: an object store has no rename."""
    files, name = fs_and_path(path)
    files.mv(name, fs_and_path(to)[1])


def has_atomic_put(path: Any) -> bool:
    """Whether a single put is atomic in this store."""
    return path.protocol in _OBJECTS


# --- reading


def is_file(path: Path) -> bool:
    """Whether the file exists."""
    files, name = fs_and_path(path)
    try:
        return bool(files.info(name)["type"] == "file")
    except FileNotFoundError:
        return False


def stat_many(paths: Sequence[Path]) -> list[Status | None]:
    """The status of each file, from one listing of each folder."""
    folders: dict[str, Any] = {str(path.parent): path.parent for path in paths}
    with ThreadPoolExecutor(THREADS, thread_name_prefix="listing") as pool:
        listed = dict(zip(folders, pool.map(_list_folder, folders.values()), strict=True))
    return [listed[str(path.parent)].get(path.name) for path in paths]


def _list_folder(folder: Path) -> dict[str, Status]:
    return {
        name: Status(f"{folder}/{name}", size, _stamp(facts))
        for name, size, facts in iter_files(folder)
        if size is not None
    }


def iter_files(folder: Path) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Name, size and fsspec entry of each file of a folder; none for a missing folder."""
    files, name = fs_and_path(folder)
    try:
        entries = files.ls(name, detail=True)
    except FileNotFoundError:
        return
    for entry in entries:
        if entry["type"] == "file" and entry["name"].rstrip("/") != name:
            yield entry["name"].rpartition("/")[2], int(entry["size"]), entry


def sizes_by_folder(folder: Path) -> dict[str, dict[str, int]]:
    """Sizes of the files in the folders of a folder: {folder: {name: bytes}}. One listing for all of it."""
    files, name = fs_and_path(folder)
    sizes: dict[str, dict[str, int]] = defaultdict(dict)
    for path, facts in files.find(name, detail=True).items():
        *_, sub, file = path.split("/")
        if not file.endswith(PART):
            sizes[sub][file] = int(facts["size"])
    return sizes


def _stamp(facts: dict[str, Any]) -> int:
    stamp = next((str(facts[name]) for name in _STAMPS if facts.get(name)), "")
    return int.from_bytes(blake2b(stamp.encode(), digest_size=7).digest(), "big")


@contextmanager
def prefetch(paths: Sequence[Path]) -> Iterator[Callable[[Path], bytes]]:
    """Read files ahead, so that decoding does not wait for each."""
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="prefetch")
    try:
        yield _Prefetcher(pool, paths)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _Prefetcher:
    def __init__(self, pool: ThreadPoolExecutor, paths: Sequence[Path]) -> None:
        self._pool, self._upcoming, self._lock = pool, iter(paths), Lock()
        self._reading: dict[Path, Future[bytes]] = {}
        self._read: set[Path] = set()  # by a caller, before they were submitted

    def __call__(self, path: Path) -> bytes:
        with self._lock:
            pending = self._reading.pop(path, None)
            if pending is None:
                self._read.add(path)
            while len(self._reading) < _PREFETCH and (upcoming := next(self._upcoming, None)) is not None:
                if upcoming not in self._read:
                    self._reading[upcoming] = self._pool.submit(partial(_read, upcoming))
        return pending.result() if pending is not None else path.read_bytes()


def _read(path: Path) -> bytes:
    return path.read_bytes()
