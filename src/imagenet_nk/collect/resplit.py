"""Another split for a data set that is there: the column `split` of its manifest, written anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from imagenet_nk.collect import manifest
from imagenet_nk.collect.results import MANIFEST_COLUMNS
from imagenet_nk.sampling import Split

_SPLIT = list(MANIFEST_COLUMNS).index("split")
_ROWS = 10_000  # written at once


def apply(folder: Path, split: Split) -> bool:
    """Divide the images of each class as `split` says; whether the manifest had them in another way.

    The rows of a class are in draw order, so this is what collecting under that split would have written.
    """
    held_out = {wnid: split.held_out(count) for wnid, count in _counts(folder).items()}
    if all(there == wanted for there, wanted in _parts(folder, held_out)):
        return False
    wanted = (part for _, part in _parts(folder, held_out))
    with manifest.writing(folder) as anew:
        rows: list[tuple[object, ...]] = []
        for row, part in zip(manifest.rows(folder, list(MANIFEST_COLUMNS)), wanted, strict=True):
            rows.append((*row[:_SPLIT], part, *row[_SPLIT + 1 :]))
            if len(rows) == _ROWS:
                anew.add(rows)
                rows = []
        anew.add(rows)
    return True


def _counts(folder: Path) -> Counter[str]:
    return Counter(wnid for (wnid,) in manifest.rows(folder, ["wnid"]))


def _parts(folder: Path, held_out: dict[str, int]) -> Iterator[tuple[str, str]]:
    """The part that each row of the manifest is in, and the one that it belongs in."""
    seen: Counter[str] = Counter()
    for wnid, part in manifest.rows(folder, ["wnid", "split"]):
        yield part, "eval" if seen[wnid] < held_out[wnid] else "train"
        seen[wnid] += 1
