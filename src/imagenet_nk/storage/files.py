"""Reading and writing files in a local folder or an object store; a file under its final name is complete.

Functions take a `Path`, or for a URL a universal_pathlib `UPath`, which has the part of Path's interface that is used
here and is typed as one. What only an object store needs is in fsspec_store.py, and imports fsspec.

They raise the file system's own errors (`io_errors()`); the caller adds what the file was for.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from imagenet_nk.storage.naming import Status, part_name, temp_path


def resolve(text: str | Path) -> Path:
    """The file or folder that a setting names: a path, or a URL of fsspec. Raises DatasetError for an unusable URL."""
    if isinstance(text, str) and "://" in text:
        from imagenet_nk.storage import fsspec_store

        return fsspec_store.resolve(text)
    return Path(text).expanduser() if isinstance(text, str) else text


def local_dir_for(folder: Path, local: str | None) -> Path:
    """The local folder for what an object store cannot hold: ledger, lock, indexes, embeddings."""
    if local is not None or not is_remote(folder):
        return Path(local).expanduser() if local is not None else folder
    protocol, _, rest = str(folder).partition("://")
    return Path("dataset", protocol, *(part for part in rest.split("/") if part.strip(".")))


def is_remote(path: object) -> bool:
    """Whether a path is not in a file system of this machine."""
    return not isinstance(path, Path)


def io_errors() -> tuple[type[Exception], ...]:
    """Exceptions of file access: OSError, and those of the object stores in use."""
    from imagenet_nk.storage import fsspec_store

    return OSError, *fsspec_store.third_party_errors()


# --- writing


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """The name of a local file to write within the block; it becomes `path` when the block ends well."""
    if is_remote(path):
        from imagenet_nk.storage import fsspec_store

        with fsspec_store.atomic_write(path) as part:
            yield part
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = temp_path(path)
    try:
        yield part
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically, with as few system calls as possible: every image is written by this."""
    if is_remote(path):
        from imagenet_nk.storage import fsspec_store

        fsspec_store.write_bytes(path, data)
        return
    folder, name = os.path.split(path)  # making Paths takes longer than the file system does
    part = os.path.join(folder, part_name(name))  # noqa: PTH118
    try:
        try:
            _write(part, data)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(part, data)
        os.replace(part, path)  # noqa: PTH105
    except BaseException:
        with suppress(OSError):
            os.unlink(part)  # noqa: PTH108
        raise


def _write(path: str, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


# --- reading


def open_regular(path: Path) -> BufferedReader:
    """A file, open for reading. Raises OSError for anything else: a FIFO would wait for ever, a device never end."""
    if is_remote(path):
        return path.open("rb")
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        require_regular(os.fstat(descriptor), path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def require_regular(status: os.stat_result, path: Path) -> None:
    """Raise OSError unless the status is that of a regular file."""
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        kind = "a FIFO" if stat.S_ISFIFO(status.st_mode) else "a device or socket"
        raise OSError(errno.EINVAL, f"it is {kind}, not a file", str(path))


def read_regular(path: Path) -> bytes:
    """All bytes of a file, as open_regular() opens it."""
    with open_regular(path) as file:
        return file.read()


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file. Raises OSError."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_file(path: Path) -> bool:
    """Whether the file exists. Unlike UPath.is_file() it raises if the server cannot be reached."""
    if is_remote(path):
        from imagenet_nk.storage import fsspec_store

        return fsspec_store.is_file(path)
    return path.is_file()


def stat_many(paths: Sequence[Path]) -> list[Status | None]:
    """The status of each file, None for a missing one. Objects are listed by folder, not requested one by one."""
    if any(map(is_remote, paths)):
        from imagenet_nk.storage import fsspec_store

        return fsspec_store.stat_many(paths)
    return [_status(path) for path in paths]


def _status(path: Path) -> Status | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return Status(full_name(path), status.st_size, status.st_mtime_ns)


def full_name(path: Path) -> str:
    """Absolute path or URL; a link keeps its own name."""
    return str(path) if is_remote(path) else os.path.abspath(path)  # noqa: PTH100


@contextmanager
def reader(paths: Sequence[Path]) -> Iterator[Callable[[Path], bytes]]:
    """A thread-safe function that reads one of these files; faster if they are read in about this order."""
    if any(map(is_remote, paths)):
        from imagenet_nk.storage import fsspec_store

        with fsspec_store.prefetch(paths) as read:
            yield read
        return
    yield read_regular
