"""Tables for a collection that was killed, as Ctrl-C would have left them."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from imagenet_nk.classes.label_map import LabelMap
from imagenet_nk.collect.recorded import select_recorded
from imagenet_nk.config.collecting import InspectConfig
from imagenet_nk.dataset.dataset import DataSet
from imagenet_nk.dataset.folder_layout import LEDGER, LOCK
from imagenet_nk.dataset.summary import Summary, TableContext
from imagenet_nk.sampling.draw_order import Split
from imagenet_nk.storage.run_lock import lock_owner

log = logging.getLogger(__name__)


def finalize_killed_run(
    folder: Path, label_map: LabelMap, split: Split, inspect: InspectConfig, home: Path | None = None
) -> Summary | None:
    """Write manifest and classes.csv of what a killed collection kept so far; None if there was none.

    Candidates that were not settled are left out, so the same command may keep other images in the end, and the folder
    stays unfinished. Raises DatasetError.
    """
    home = home or folder  # where the ledger is
    if not (home / LEDGER).is_file():
        return None
    with _exclusive_if_idle(home / LOCK) as is_idle:
        if not is_idle:
            return None
        dataset = DataSet(folder, home)
        try:
            return _finalize(dataset, label_map, split, inspect)
        finally:
            dataset.close()


@contextmanager
def _exclusive_if_idle(path: Path) -> Iterator[bool]:
    """Whether no other run works in the folder; none can start within the block then. Does not wait."""
    lock = FileLock(path, is_singleton=True)  # the one of run_lock(), which this process may hold
    owner = lock_owner(path)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        log.warning("%s is in use or not writable: its tables are used as they are", path.parent)
        yield False
        return
    try:
        is_elsewhere = owner is not None and owner.host != socket.gethostname()
        if is_elsewhere:
            log.warning("%s is in use by %s: its tables are used as they are", path.parent, owner)
        yield not is_elsewhere
    finally:
        lock.release()


def _finalize(dataset: DataSet, label_map: LabelMap, split: Split, inspect: InspectConfig) -> Summary | None:
    request = dataset.state.request
    if request is None or dataset.ledger.classes_without_verdicts().isdisjoint(request.wnids):
        return None
    requested = label_map.subset([wnid for wnid in request.wnids if wnid in label_map]) or label_map
    target_of = dataset.state.target_of(request.nk)
    selected = select_recorded(dataset, requested, target_of, inspect)
    summary = dataset.tables.finalize(selected, "", TableContext(requested, target_of, split, request.materialize))
    log.warning(
        "a collection into %s was interrupted; it has kept %d images of %d classes so far, and the same command "
        "continues from here",
        dataset.folder,
        summary.kept,
        summary.classes,
    )
    return summary
