"""The data set folder as a whole, and the fingerprint of the settings that made it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imagenet_nk.dataset.folder_state import FolderState
from imagenet_nk.dataset.ledger import Ledger
from imagenet_nk.dataset.object_store import claim_bucket, open_store
from imagenet_nk.dataset.records import CandidateRecords
from imagenet_nk.dataset.table_writer import TableWriter
from imagenet_nk.storage.files import is_remote


class DataSet:
    """One data set folder, open: its image files and ledger, and what reads and writes them."""

    def __init__(self, folder: Path, home: Path | None = None) -> None:
        """`home`: the folder of this machine that has the ledger; the same one if None."""
        self.folder = folder
        self.store = open_store(folder)
        self.ledger = Ledger(home or folder)
        self.state = FolderState(folder, self.ledger)
        self.records = CandidateRecords(self.ledger, self.store)
        self.tables = TableWriter(folder, self.ledger, self.store, self.state)
        if is_remote(folder):
            claim_bucket(folder, home or folder)

    def is_complete(self, fingerprint: str, wnids: Sequence[str]) -> bool:
        """Whether a run with this fingerprint has ended here, and all that it kept is still there."""
        return self.state.completed_by == fingerprint and self.records.are_intact(wnids)

    def close(self) -> None:
        self.ledger.close()


def fingerprint(settings: Mapping[str, object]) -> str:
    """A digest of the settings that a complete data set depends on; files that they name count with size and time."""
    text = json.dumps(_with_file_stamps(settings), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _with_file_stamps(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _with_file_stamps(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_file_stamps(item) for item in value]
    if isinstance(value, str) and 0 < len(value) < 4096 and "\0" not in value and Path(value).is_file():
        stat = Path(value).stat()
        return [value, stat.st_size, stat.st_mtime_ns]
    return value
