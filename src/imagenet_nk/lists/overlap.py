"""Images that two lists have in common, by path or by content."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from imagenet_nk.storage.files import full_name, io_errors, sha256, stat_many


def find_overlap(images: Sequence[Path], others: Sequence[Path]) -> list[Path]:
    """Those of `images` that are also among `others`: the same file, or one with the same bytes.

    Only files of equal size are read. A file that cannot be read is in no overlap.
    """
    names = {full_name(path) for path in others}
    by_size: dict[int, list[Path]] = {}
    for status, path in zip(stat_many(others), others, strict=True):
        if status is not None:
            by_size.setdefault(status.size, []).append(path)
    digests: dict[int, set[str]] = {}
    overlap = []
    for status, path in zip(stat_many(images), images, strict=True):
        if full_name(path) in names:
            overlap.append(path)
        elif status is not None and status.size in by_size:
            if status.size not in digests:
                digests[status.size] = set(_digests(by_size[status.size]))
            if digests[status.size].intersection(_digests([path])):
                overlap.append(path)
    return overlap


def _digests(paths: Iterable[Path]) -> Iterable[str]:
    for path in paths:
        try:
            yield sha256(path)
        except io_errors():
            continue
