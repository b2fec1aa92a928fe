"""A FIFO, a device or a folder in the place of a file is one line at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from imagenet_nk.classes.hierarchy import read_subtree
from imagenet_nk.classes.label_files import read_wnids
from imagenet_nk.dataset.manifest import read_manifest
from imagenet_nk.errors import ImageNetNkError
from imagenet_nk.lists.list_file import read_list, read_paths, sha256
from imagenet_nk.sampling.listed_order import ListedOrder
from imagenet_nk.sources.archive.ranged_file import LocalFile
from imagenet_nk.sources.local.folders import read_file
from imagenet_nk.sources.local.tars import entries, read_range
from imagenet_nk.sources.manifest.table import read_images
from imagenet_nk.storage import files


def read_listed(path: Path) -> bytes:
    with files.reader([path]) as read:
        return read(path)


READERS: dict[str, Callable[[Path], object]] = {
    "list": read_list,
    "paths": read_paths,
    "list's digest": sha256,
    "labels": read_wnids,
    "hierarchy": lambda path: read_subtree(path, "n01440764"),
    "names": lambda path: ListedOrder(0, str(path)),
    "source=manifest": read_images,
    "manifest": lambda path: read_manifest(path.parent),
    "tar": lambda path: list(entries(path, on_damage=print)),
    "range": lambda path: read_range(f"{path}#bytes=0-9"),
    "archive": LocalFile,
    "image": read_file,
    "listed image": read_listed,
}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_special_file_is_one_line(read: Callable[[Path], object], make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "manifest.parquet")
    with pytest.raises((ImageNetNkError, OSError)) as error:
        read(tmp_path / "manifest.parquet")
    assert "\n" not in str(error.value)
