"""Stage `verify`: reads every image of the manifest and compares it with what the manifest says."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pandas as pd

from imagenet_nk.dataset.class_table import write_csv
from imagenet_nk.dataset.folder_layout import IMAGES, MANIFEST
from imagenet_nk.dataset.manifest import iter_columns
from imagenet_nk.engine.cpu_count import cores
from imagenet_nk.errors import DatasetError
from imagenet_nk.lists import list_file
from imagenet_nk.lists.list_file import Entry
from imagenet_nk.lists.stage import EVAL
from imagenet_nk.storage.files import io_errors, is_file, is_remote, read_regular
from imagenet_nk.wording import plural

log = logging.getLogger(__name__)

FILE = "verify.csv"  # path and problem of each image that differs
_SHOWN = 5  # of them in the log
_BATCH = 2_000  # images that are read before their results are taken


def verify(folder: Path, output: Path) -> int:
    """Compare size and SHA-256 of every image with the manifest; returns how many differ, and names them.

    All of them are in verify.csv in the folder `output`. Raises DatasetError without a manifest that can be read.
    """
    if not is_file(folder / MANIFEST):
        raise DatasetError(f"{folder} holds no {MANIFEST}: run the stage collect first, stages=[collect,lists,verify]")
    counts = [0, 0]
    differing = list(_differing(folder, counts))
    differing += [(path, "is no image of the manifest") for path in _unlisted(folder)]
    for path, problem in differing[:_SHOWN]:
        log.warning("verify: %s %s", path, problem)
    size = f"{plural(counts[0], 'image')} ({counts[1] / 2**20:,.1f} MiB)"
    if not differing:
        log.info("verify: %s read, all as the manifest says", size)
        return 0
    write_csv(pd.DataFrame(differing, columns=["path", "problem"]), output / FILE)
    log.warning(
        "verify: %s read, %s; all are named in %s. Remove them: the stage collect then fetches again what is missing",
        size,
        plural(len(differing), "file differs", "files differ"),
        output / FILE,
    )
    return len(differing)


def _differing(folder: Path, counts: list[int]) -> Iterator[tuple[str, str]]:
    """(path, problem) of each image that is not as the manifest says; `counts`: images and bytes read so far."""
    rows = iter_columns(folder, ["path", "bytes", "sha256"])
    with ThreadPoolExecutor(cores(), thread_name_prefix="verify") as pool:
        while batch := list(islice(rows, _BATCH)):
            problems = pool.map(lambda row: _problem(folder, *row), batch)
            for (path, size, _), problem in zip(batch, problems, strict=True):
                counts[0] += 1
                counts[1] += size
                if problem:
                    yield path, problem


def _problem(folder: Path, path: str, size: int, sha256: str) -> str:
    """What is wrong with an image; "" if it is as the manifest says."""
    try:
        data = read_regular(list_file.resolve(folder / EVAL, Entry(path, 0)))
    except io_errors() as error:
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"
    if len(data) != size:
        return f"has {len(data):,} bytes, not {size:,}"
    return "" if hashlib.sha256(data).hexdigest() == sha256 else "has other bytes of the same size"


def _unlisted(folder: Path) -> Iterator[str]:
    """Files in images/ that the manifest does not name; they are not looked for in an object store."""
    if is_remote(folder):
        return
    listed = {path for (path,) in iter_columns(folder, ["path"])}
    for file in sorted((folder / IMAGES).glob("*/*")):
        if (path := file.relative_to(folder).as_posix()) not in listed:
            yield path
