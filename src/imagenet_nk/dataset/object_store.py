"""The image files of a data set in an object store: the same names as in a folder, one put each."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from uuid import uuid4

from imagenet_nk.config import Materialize
from imagenet_nk.dataset.files import IMAGES, SPARE
from imagenet_nk.dataset.image_store import Store, translated
from imagenet_nk.errors import DatasetError
from imagenet_nk.storage import files, fsspec_store
from imagenet_nk.storage.naming import temp_path

OWNER = "ledger.json"  # whose ledger knows what is there

Sizes = dict[str, dict[str, int]]  # WNID to names and bytes


class ObjectStore(Store):
    """images/ and spare/ behind a URL. What is there is listed once, then kept up to date by what is done to it."""

    writers = fsspec_store.THREADS  # a put is waiting, not work

    def __init__(self, folder: Path) -> None:  # there is no folder to make
        self.folder = folder
        self._there: dict[str, Sizes] = {}  # of images and spare

    def write(self, wnid: str, name: str, data: bytes) -> None:
        super().write(wnid, name, data)
        self._note(IMAGES, wnid, name, len(data))

    def adopt(self, wnid: str, name: str, original: Path, how: Materialize) -> None:
        if how != Materialize.copy:
            raise DatasetError(f"{self.folder} can hold no links; type source.materialize=copy")
        with translated(self.folder):
            data = original.read_bytes()
        self.write(wnid, name, data)

    def sizes(self, wnid: str, *, alone: bool = True) -> dict[str, int]:  # noqa: ARG002 - a put leaves nothing behind
        return {**self._listed(SPARE).get(wnid, {}), **self._listed(IMAGES).get(wnid, {})}

    def settle(self, wnid: str, keep: set[str], unwanted: set[str]) -> None:
        images, spare = set(self._listed(IMAGES).get(wnid, {})), set(self._listed(SPARE).get(wnid, {}))
        for sub, names in ((IMAGES, images), (SPARE, spare)):
            for name in names & unwanted:
                self._remove(sub, wnid, name)
        for name in (spare & keep) - unwanted:
            self._move(wnid, name, SPARE, IMAGES)
        for name in images - keep - unwanted:
            self._move(wnid, name, IMAGES, SPARE)

    def refresh(self) -> None:
        self._there.clear()

    def room(self) -> int:
        return 1  # nobody knows

    def _listed(self, sub: str) -> Sizes:
        if sub not in self._there:
            with translated(self.folder):
                self._there[sub] = fsspec_store.sizes_by_folder(self.folder / sub)
        return self._there[sub]

    def _note(self, sub: str, wnid: str, name: str, size: int) -> None:
        if sub in self._there:
            self._there[sub].setdefault(wnid, {})[name] = size

    def _remove(self, sub: str, wnid: str, name: str) -> None:
        with translated(self.folder):
            (self.folder / sub / wnid / name).unlink(missing_ok=True)
        self._there[sub][wnid].pop(name, None)

    def _move(self, wnid: str, name: str, source: str, to: str) -> None:
        with translated(self.folder):
            fsspec_store.move(self.folder / source / wnid / name, self.folder / to / wnid / name)
        self._note(to, wnid, name, self._there[source][wnid].pop(name))


def open_store(folder: Path) -> Store:
    """The store of a data set: a folder of this machine, or an object store."""
    return ObjectStore(folder) if files.is_remote(folder) else Store(folder)


def try_out(folder: Path, home: Path) -> None:
    """Write behind a URL once before anything is made in a new `home`. Raises DatasetError where that cannot be."""
    if not files.is_remote(folder) or home.exists():
        return
    trial = temp_path(folder / "trial")
    with translated(folder):
        files.write_bytes(trial, b"")
        trial.unlink()


def own(folder: Path, home: Path) -> None:
    """Bind a URL to the ledger in `home`, for good. Raises DatasetError if another ledger has it, or it is unwritable.

    A lock on a file keeps two drivers of one machine apart; this keeps apart those of two machines.
    """
    ours = home / OWNER
    if not ours.is_file():
        files.write_text(
            ours, json.dumps({"id": uuid4().hex, "host": socket.gethostname(), "folder": str(home.absolute())})
        )
    with translated(folder):
        found = json.loads(fsspec_store.create_exclusive(folder / OWNER, ours.read_bytes()))
    if found["id"] != json.loads(ours.read_bytes())["id"]:
        raise DatasetError(
            f"{folder} belongs to the ledger in {found['folder']} on {found['host']}: run there, or type "
            f"dataset.state_dir=FOLDER for it, or remove {folder / OWNER} to start a ledger anew"
        )
