"""Where the shards of a data set lie: files here, or on the Hugging Face hub."""

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
from imagenet_nk.net.download import OutOfReachError
from imagenet_nk.sources.local.folders import MAX_BYTES
from imagenet_nk.wording import one_line

# Its own tries, each a line past every log: what they come to is said here.
hub_logging.set_verbosity_error()  # type: ignore[no-untyped-call]

BLOCK = 1 << 24  # bytes of a tar that are asked for at once
SUFFIXES = (".parquet", ".tar")  # the first that a data set has is read
_HELP = {
    401: "; set HF_TOKEN to a token of an account that has access, or HF_ENDPOINT to another hub",
    403: "; the account of HF_TOKEN has no access, or the token lacks the right to read",
    404: "; check source.dataset and HF_ENDPOINT",
    407: "; the proxy on the way wants a login: see HTTPS_PROXY",
    429: ": it is asked too often; try again later, or set HF_TOKEN",
}
SPLITS = {"train": ("train",), "validation": ("validation", "val"), "test": ("test",)}


class Files(Protocol):
    """The files of a data set."""

    where: str  # prefix of every shard's address

    def names(self) -> list[str]:
        """All files, relative to the data set."""

    def card(self) -> dict[str, Any]:
        """The yaml head of its README.md, or at least `dataset_info` of it; empty without one."""

    @contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        """A file that reads only what is asked for. Raises OutOfReachError, and OSError where the file is damaged."""

    def local(self, name: str, spool: Path) -> Path:
        """A whole copy on this machine: the file itself where it is one. Raises OSError."""

    def close(self) -> None:
        """End what is being fetched on other threads."""


def read_piece(files: Files, name: str, place: str) -> bytes:
    """The bytes of `bytes=<first>-<last>` of a file, asked for at its place. Raises OutOfReachError, and OSError."""
    first, last = map(int, place.removeprefix("bytes=").split("-"))
    if not 0 <= last - first < MAX_BYTES:
        raise OSError(f"{place} is the size of no image")
    with files.opened(name) as file:
        file.seek(first)
        data = file.read(last - first + 1)
    if len(data) <= last - first:
        raise OSError(f"{name} ends before {place}")
    return data


class LocalFiles:
    """A folder, or one file, on this machine."""

    def __init__(self, root: Path) -> None:
        self._folder = root if root.is_dir() else root.parent
        self._only = None if root.is_dir() else root.name
        self.where = str(self._folder.absolute())

    def names(self) -> list[str]:
        if self._only:
            return [self._only]
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
    def opened(self, name: str) -> Iterator[BinaryIO]:
        try:
            file = (self._folder / name).open("rb")
        except OSError as error:
            raise OutOfReachError(f"{self.where}/{name} cannot be read: {error.strerror}") from error
        with file:
            yield file

    def local(self, name: str, spool: Path) -> Path:  # noqa: ARG002
        return self._folder / name

    def close(self) -> None:
        """Nothing is fetched."""


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
        try:
            self._info = self._api.dataset_info(repo, revision=revision, timeout=30, files_metadata=True)
            if self._info.gated:
                self._api.auth_check(repo, repo_type="dataset")
        except GatedRepoError as error:
            raise SourceError(_gated(repo, page, self._api.endpoint)) from error
        except UnicodeEncodeError as error:  # where the client makes a header of it
            raise SourceError("HF_TOKEN holds a character that no token has; copy it anew") from error
        except RevisionNotFoundError as error:
            raise SourceError(
                f"{page} has no revision {revision!r}; leave source.revision out for the newest"
            ) from error
        except RepositoryNotFoundError as error:
            raise SourceError(
                f"there is no data set {page}, or it is private and HF_TOKEN gives no access; check source.dataset"
            ) from error
        except HFValidationError as error:
            raise SourceError(
                f"source.dataset={repo} is neither a path here nor a name on the hub such as ILSVRC/imagenet-1k"
            ) from error
        except (HTTPError, OSError) as error:
            raise SourceError(f"{page} cannot be reached: {answered(error)}") from error
        self._commit = self._info.sha or revision
        self._files = HfFileSystem(endpoint=endpoint, skip_instance_cache=True)
        self.where = f"{page}/resolve/{self._commit}"

    def names(self) -> list[str]:
        return [sibling.rfilename for sibling in self._info.siblings or ()]

    def card(self) -> dict[str, Any]:
        data = self._info.card_data
        return {"dataset_info": data.get("dataset_info")} if data else {}

    @contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        path = f"datasets/{self._repo}@{self._commit}/{name}"
        where = f"{self.where}/{name}"
        with _said(where):
            try:
                file = self._files.open(path, "rb", cache_type="none")  # pyarrow asks for whole chunks
            except OSError as error:
                raise OutOfReachError(f"{where} cannot be read: {answered(error)}") from error
            with file:
                yield cast("BinaryIO", _Exact(file, where))

    def local(self, name: str, spool: Path) -> Path:
        there = spool / name
        if there.is_file():
            return there
        there.parent.mkdir(parents=True, exist_ok=True)
        part = there.with_name(f"{there.name}.part")
        with self.opened(name) as source, part.open("ab") as sink:
            source.seek(sink.tell())
            while chunk := source.read(BLOCK):
                if self._stopped.is_set():
                    raise OutOfReachError(f"{self.where}/{name}: stopped")
                sink.write(chunk)
        self._require_whole(name, part)
        return part.replace(there)

    def _require_whole(self, name: str, part: Path) -> None:
        """Raise OutOfReachError, and forget what came, if it is not the file whose sha256 the hub has on record.

        So it has for all that it keeps in its large file storage, as every shard of pictures is.
        """
        wanted = next((s.lfs.sha256 for s in self._info.siblings or () if s.rfilename == name and s.lfs), None)
        if wanted is None:
            return
        with part.open("rb") as file:
            came = hashlib.file_digest(file, "sha256").hexdigest()
        if came != wanted:
            part.unlink()
            raise OutOfReachError(
                f"{self.where}/{name} came damaged: its sha256 is {came[:16]}, and should be {wanted[:16]}"
            )

    def close(self) -> None:
        self._stopped.set()


def _gated(repo: str, page: str, endpoint: str) -> str:
    if get_token():
        return (
            f"{repo} is gated, and the token that is set opens it not: ask for access at {page} with the "
            f"account of that token, and let it read gated repositories ({endpoint}/settings/tokens)"
        )
    return (
        f"{repo} is gated: ask for access at {page}, make a token at {endpoint}/settings/tokens and set HF_TOKEN to it"
    )


def shards(names: Iterable[str], split: str) -> list[str]:
    """The parquet files, or else the tars, of a split, by name. A set without any split in its names has but `train`.

    The split is a word of the path: data/train-00000-of-00294.parquet, imagenet1k-train-0000.tar, train/0.parquet.
    """
    for suffix in SUFFIXES:
        files = sorted(name for name in names if name.endswith(suffix))
        by_split = {split: [f for f in files if _says(f, words)] for split, words in SPLITS.items()}
        if files and not any(by_split.values()):
            return files if split == "train" else []
        if files:
            return by_split[split] if split in by_split else [file for file in files if _says(file, (split,))]
    return []


def _says(name: str, words: tuple[str, ...]) -> bool:
    return any(re.search(rf"(?<![a-z]){re.escape(word)}(?![a-z])", name, re.IGNORECASE) for word in words)


def answered(error: Exception) -> str:
    """What a hub answered that did not say it in Hugging Face's own way (a mirror, a proxy), and what helps."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is None:
        return one_line(error)
    name = f"{status} {responses.get(status, '')}".strip()
    return f"it answers {name}{_HELP.get(status, '; try again later' if status >= 500 else '')}"


class _Exact:
    """A remote file whose pieces have the size that was asked for: a server's page about a login has another."""

    def __init__(self, file: Any, where: str) -> None:
        self._file, self._where = file, where

    def read(self, size: int = -1) -> bytes:
        left = self._file.size - self._file.tell()
        wanted = left if size is None or size < 0 else min(size, left)
        data: bytes = self._file.read(wanted) if wanted else b""
        if len(data) != wanted:
            raise OutOfReachError(f"{self._where} cannot be read: the hub sends {len(data)} bytes instead of {wanted}")
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def _said(where: str) -> Iterator[None]:
    try:
        yield
    except HTTPError as error:
        raise OutOfReachError(f"{where} cannot be read: {answered(error)}") from error
