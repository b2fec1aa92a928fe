"""The image files of a data set in an object store: the same names as in a folder, one put each."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from uuid import uuid4

from imagenet_nk.config.sources import Materialize
from imagenet_nk.dataset.folder_layout import IMAGES, SPARE
from imagenet_nk.dataset.image_store import ImageStore, as_dataset_error
from imagenet_nk.errors import DatasetError
from imagenet_nk.storage import files, fsspec_store
from imagenet_nk.storage.naming import temp_path

OWNER = "ledger.json"  # names the ledger that a URL belongs to

Sizes = dict[str, dict[str, int]]  # WNID to names and bytes


class ObjectStore(ImageStore):
    """images/ and spare/ behind a URL. They are listed once; then the listing follows what this object does."""

    def __init__(self, folder: Path) -> None:  # no folder has to be made
        self.folder = folder
        self.writers = fsspec_store.THREADS  # a put waits and does not compute
        self._listings: dict[str, Sizes] = {}  # of images and spare

    def write(self, wnid: str, name: str, data: bytes) -> None:
        super().write(wnid, name, data)
        self._add(IMAGES, wnid, name, len(data))

    def link_or_copy(self, wnid: str, name: str, original: Path, how: Materialize) -> None:
        if how != Materialize.copy:
            raise DatasetError(f"{self.folder} can hold no links; type source.materialize=copy")
        with as_dataset_error(self.folder):
            data = original.read_bytes()
        self.write(wnid, name, data)

    def sizes(self, wnid: str) -> dict[str, int]:
        return {**self._list(SPARE).get(wnid, {}), **self._list(IMAGES).get(wnid, {})}

    def sha256(self, wnid: str, name: str) -> str | None:  # noqa: ARG002
        return None  # every object would have to be downloaded: stages=[verify] does

    def arrange(self, wnid: str, keep: set[str], unwanted: set[str]) -> None:
        images, spare = set(self._list(IMAGES).get(wnid, {})), set(self._list(SPARE).get(wnid, {}))
        for sub, names in ((IMAGES, images), (SPARE, spare)):
            for name in names & unwanted:
                self._remove(sub, wnid, name)
        for name in spare & keep & images - unwanted:
            self._remove(SPARE, wnid, name)
        for name in (spare & keep) - images - unwanted:
            self._move(wnid, name, SPARE, IMAGES)
        for name in images - keep - unwanted:
            self._move(wnid, name, IMAGES, SPARE)

    def refresh(self) -> None:
        self._listings.clear()

    def free_bytes(self) -> int:
        return 1  # an object store does not tell

    def _list(self, sub: str) -> Sizes:
        if sub not in self._listings:
            with as_dataset_error(self.folder):
                self._listings[sub] = fsspec_store.sizes_by_folder(self.folder / sub)
        return self._listings[sub]

    def _add(self, sub: str, wnid: str, name: str, size: int) -> None:
        if sub in self._listings:
            self._listings[sub].setdefault(wnid, {})[name] = size

    def _remove(self, sub: str, wnid: str, name: str) -> None:
        with as_dataset_error(self.folder):
            (self.folder / sub / wnid / name).unlink(missing_ok=True)
        self._listings[sub][wnid].pop(name, None)

    def _move(self, wnid: str, name: str, source: str, to: str) -> None:
        with as_dataset_error(self.folder):
            fsspec_store.move(self.folder / source / wnid / name, self.folder / to / wnid / name)
        self._add(to, wnid, name, self._listings[source][wnid].pop(name))


def open_store(folder: Path) -> ImageStore:
    """The store of a data set: a folder of this machine, or an object store."""
    return ObjectStore(folder) if files.is_remote(folder) else ImageStore(folder)


def check_writable(folder: Path, home: Path) -> None:
    """Write once behind a URL before a new `home` is made. Raises DatasetError if it cannot be written."""
    if not files.is_remote(folder) or home.exists():
        return
    trial = temp_path(folder / "trial")
    with as_dataset_error(folder):
        files.write_bytes(trial, b"")
        trial.unlink()


def claim_bucket(folder: Path, home: Path) -> None:
    """Bind a URL to the ledger in `home`, for good. Raises DatasetError if another ledger has it, or on a failed write.

    A lock on a file keeps two drivers of one machine apart; this keeps apart those of two machines.
    """
    local = home / OWNER
    if not local.is_file():
        files.write_text(
            local, json.dumps({"id": uuid4().hex, "host": socket.gethostname(), "folder": str(home.absolute())})
        )
    with as_dataset_error(folder):
        owner = json.loads(fsspec_store.create_exclusive(folder / OWNER, local.read_bytes()))
    if owner["id"] != json.loads(local.read_bytes())["id"]:
        raise DatasetError(
            f"{folder} belongs to the ledger in {owner['folder']} on {owner['host']}: run there, or type "
            f"dataset.state_dir=FOLDER for it, or remove {folder / OWNER} to start a new ledger"
        )
