"""The files of a data set, on this machine or on the Hugging Face hub."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.client import responses
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import yaml
from huggingface_hub import HfApi, HfFileSystem, get_token
from huggingface_hub.errors import (  # type: ignore[attr-defined]
    GatedRepoError,
    HFValidationError,
    HTTPError,  # of the client that the hub's library is built on: requests, httpx
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import logging as hub_logging

from imagenet_nk.errors import SourceError
from imagenet_nk.formats.hidden import is_hidden
from imagenet_nk.formats.numbers import parse_byte_range
from imagenet_nk.net.download import OutOfReachError
from imagenet_nk.sources.local.folders import MAX_BYTES
from imagenet_nk.wording import one_line

# The library logs each of its own attempts; their outcome is reported here.
hub_logging.set_verbosity_error()  # type: ignore[no-untyped-call]

_CHUNK = 1 << 24  # bytes of a tar in one request
_SUFFIXES = (".parquet", ".tar")  # in order of preference
_SPLITS = {"train": ("train",), "validation": ("validation", "val"), "test": ("test",)}
_HINTS = {
    401: "; set HF_TOKEN to a token of an account that has access, or HF_ENDPOINT to another hub",
    403: "; the account of HF_TOKEN has no access, or the token lacks the right to read",
    404: "; check source.dataset and HF_ENDPOINT",
    407: "; the proxy on the way requires a login: see HTTPS_PROXY",
    429: ": too many requests; try again later, or set HF_TOKEN",
}


class DatasetFiles(Protocol):
    """The files of a data set."""

    base_url: str  # prefix of the address of every file

    def names(self) -> list[str]:
        """All files, relative to the data set."""

    def card(self) -> dict[str, Any]:
        """The yaml head of its README.md, or at least its `dataset_info`; empty without one."""

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """A file of which only what is read is fetched. Raises OutOfReachError, and OSError if it is damaged."""

    def local_copy(self, name: str, folder: Path) -> Path:
        """The whole file on this machine: itself if it is here, else a copy in `folder`. Raises OSError."""

    def close(self) -> None:
        """End downloads of other threads."""


def read_range(files: DatasetFiles, name: str, byte_range: str) -> bytes:
    """The bytes of `bytes=<first>-<last>` of a file. Raises OutOfReachError, and OSError."""
    part = parse_byte_range(f"#{byte_range}")
    if part is None or part.size > MAX_BYTES:
        raise OSError(f"{byte_range} is the size of no image")
    with files.open(name) as file:
        file.seek(part.first)
        data = file.read(part.size)
    if len(data) < part.size:
        raise OSError(f"{name} ends before {byte_range}")
    return data


class LocalFiles:
    """A folder, or one file, on this machine."""

    def __init__(self, root: Path) -> None:
        self._folder = root if root.is_dir() else root.parent
        self._single = None if root.is_dir() else root.name
        self.base_url = str(self._folder.absolute())

    def names(self) -> list[str]:
        if self._single:
            return [self._single]
        return [file.relative_to(self._folder).as_posix() for file in self._folder.rglob("*") if file.is_file()]

    def card(self) -> dict[str, Any]:
        readme = self._folder / "README.md"
        if not readme.is_file():
            return {}
        head = re.match(r"---\s*\n(.*?)\n---", readme.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
        try:
            card = yaml.safe_load(head[1]) if head else None
            return card if isinstance(card, dict) else {}
        except yaml.YAMLError as error:
            raise SourceError(f"{readme} has a head that is no yaml: {one_line(error)}") from error

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        try:
            if (path := self._folder / name).exists() and not path.is_file():  # a pipe would never open
                raise SourceError(f"{path} is no file")
            file = path.open("rb")
        except OSError as error:
            raise OutOfReachError(f"{self.base_url}/{name} cannot be read: {error.strerror}") from error
        with file:
            yield file

    def local_copy(self, name: str, folder: Path) -> Path:  # noqa: ARG002
        return self._folder / name

    def close(self) -> None:
        """Nothing is downloaded."""


class HubFiles:
    """A data set repository, at the commit that `revision` meant when it was opened.

    The token is that of the environment (HF_TOKEN, or `hf auth login`); HF_ENDPOINT names another hub.
    """

    def __init__(self, repo: str, revision: str) -> None:
        endpoint = os.environ.get("HF_ENDPOINT") or None
        self._stopped = threading.Event()
        self._api = HfApi(endpoint=endpoint)
        self._repo = repo
        page = f"{self._api.endpoint}/datasets/{repo}"
        with _open_errors(repo, revision, page, self._api.endpoint):
            self._info = self._api.dataset_info(repo, revision=revision, timeout=30, files_metadata=True)
            if self._info.gated:
                self._api.auth_check(repo, repo_type="dataset")
        self._commit = self._info.sha or revision
        self._files = HfFileSystem(endpoint=endpoint, skip_instance_cache=True)
        self.base_url = f"{page}/resolve/{self._commit}"

    def names(self) -> list[str]:
        return [sibling.rfilename for sibling in self._info.siblings or ()]

    def card(self) -> dict[str, Any]:
        data = self._info.card_data
        return {"dataset_info": data.get("dataset_info")} if data else {}

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        url = f"{self.base_url}/{name}"
        try:
            try:  # without a cache: pyarrow reads whole column chunks
                file = self._files.open(f"datasets/{self._repo}@{self._commit}/{name}", "rb", cache_type="none")
            except OSError as error:
                raise OutOfReachError(f"{url} cannot be read: {http_error_text(error)}") from error
            with file:
                yield cast("BinaryIO", LengthChecked(file, url))
        except HTTPError as error:
            raise OutOfReachError(f"{url} cannot be read: {http_error_text(error)}") from error

    def local_copy(self, name: str, folder: Path) -> Path:
        copy = folder / name
        if copy.is_file():
            return copy
        copy.parent.mkdir(parents=True, exist_ok=True)
        part = copy.with_name(f"{copy.name}.part")
        with self.open(name) as source, part.open("ab") as sink:
            source.seek(sink.tell())
            while chunk := source.read(_CHUNK):
                if self._stopped.is_set():
                    raise OutOfReachError(f"{self.base_url}/{name}: stopped")
                sink.write(chunk)
        self._check_sha256(name, part)
        return part.replace(copy)

    def _check_sha256(self, name: str, part: Path) -> None:
        """Raise OutOfReachError and delete the file if the hub has another sha256 on record.

        It has one for everything in its large file storage, as every shard of images is.
        """
        expected = next((s.lfs.sha256 for s in self._info.siblings or () if s.rfilename == name and s.lfs), None)
        if expected is None:
            return
        with part.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
        if actual != expected:
            part.unlink()
            raise OutOfReachError(
                f"{self.base_url}/{name} arrived damaged: its sha256 is {actual[:16]}, and should be {expected[:16]}"
            )

    def close(self) -> None:
        self._stopped.set()


@contextmanager
def _open_errors(repo: str, revision: str, page: str, endpoint: str) -> Iterator[None]:
    """Translate the library's errors about a data set into SourceError."""
    try:
        yield
    except GatedRepoError as error:
        raise SourceError(_gated(repo, page, endpoint)) from error
    except UnicodeEncodeError as error:  # where the client makes a header of it
        raise SourceError("HF_TOKEN holds a character that no token has; copy it again") from error
    except RevisionNotFoundError as error:
        raise SourceError(f"{page} has no revision {revision!r}; leave source.revision out for the newest") from error
    except RepositoryNotFoundError as error:
        raise SourceError(
            f"there is no data set {page}, or it is private and HF_TOKEN gives no access; check source.dataset"
        ) from error
    except HFValidationError as error:
        raise SourceError(
            f"source.dataset={repo} is neither a path here nor a name on the hub such as ILSVRC/imagenet-1k"
        ) from error
    except (HTTPError, OSError) as error:
        raise SourceError(f"{page} cannot be reached: {http_error_text(error)}") from error


def _gated(repo: str, page: str, endpoint: str) -> str:
    if get_token():
        return (
            f"{repo} is gated, and the present token gives no access: ask for it at {page} with the account of that "
            f"token, and let the token read gated repositories ({endpoint}/settings/tokens)"
        )
    return (
        f"{repo} is gated: ask for access at {page}, make a token at {endpoint}/settings/tokens and set HF_TOKEN to it"
    )


def http_error_text(error: Exception) -> str:
    """An HTTP status that came without the hub's own explanation (from a mirror or a proxy), and what helps."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is None:
        return one_line(error)
    name = f"{status} {responses.get(status, '')}".strip()
    return f"it answers {name}{_HINTS.get(status, '; try again later' if status >= 500 else '')}"


def find_shards(names: Iterable[str], split: str) -> list[str]:
    """The parquet files, or else the tars, of a split, by name. A set without any split in its names has only `train`.

    The split is a word of the path: data/train-00000-of-00294.parquet, imagenet1k-train-0000.tar, train/0.parquet.
    """
    present = {name for name in names if not is_hidden(name)}
    # img2dataset writes what it knows of 00000.tar beside it, into 00000.parquet
    shards = {name for name in present if f"{name.removesuffix('.parquet')}.tar" not in present}
    for suffix in _SUFFIXES:
        files = sorted(name for name in shards if name.endswith(suffix))
        by_split = {split: [f for f in files if _contains_word(f, words)] for split, words in _SPLITS.items()}
        if files and not any(by_split.values()):
            return files if split == "train" else []
        if files:
            return by_split[split] if split in by_split else [file for file in files if _contains_word(file, (split,))]
    return []


def _contains_word(name: str, words: tuple[str, ...]) -> bool:
    return any(re.search(rf"(?<![a-z]){re.escape(word)}(?![a-z])", name, re.IGNORECASE) for word in words)


class LengthChecked:
    """A remote file of which each read has the requested length: a server's login page has another."""

    def __init__(self, file: Any, url: str) -> None:
        self._file, self._url = file, url

    def read(self, size: int = -1) -> bytes:
        remaining = self._file.size - self._file.tell()
        expected = remaining if size is None or size < 0 else min(size, remaining)
        data: bytes = self._file.read(expected) if expected else b""
        if len(data) != expected:
            raise OutOfReachError(f"{self._url} cannot be read: the hub sends {len(data)} bytes instead of {expected}")
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
