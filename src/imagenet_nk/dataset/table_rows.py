"""Rows of a data set's tables out of its ledger's rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imagenet_nk.classes import LabelMap
from imagenet_nk.config import Materialize
from imagenet_nk.dataset import class_table
from imagenet_nk.dataset.files import IMAGES
from imagenet_nk.dataset.ledger import PLACE
from imagenet_nk.dataset.records import file_name
from imagenet_nk.sampling.draw_order import Split

Target = Callable[[str], int | None]  # of a class; None = all that there are
Rows = Sequence[tuple[Any, ...]]  # of one class in the ledger: PLACE, then
COLUMNS = (
    "verdict", "reason", "detail", "pixels", "path", "image_id", "transient",
    # as the manifest has them:
    "url", "final_url", "sha256", "bytes", "width", "height", "format", "mode", "fetched_at",
)  # fmt: skip
SOURCE, RANK = PLACE.index("source"), PLACE.index("rank")
VERDICT, REASON, DETAIL, PIXELS, PATH, IMAGE_ID, TRANSIENT, URL = range(len(PLACE), len(PLACE) + 8)
FORMAT, SHA256 = (len(PLACE) + COLUMNS.index(name) for name in ("format", "sha256"))


@dataclass(frozen=True)
class TableContext:
    """What the tables of a data set say beside what the ledger knows."""

    label_map: LabelMap
    wanted: Target  # images of a class
    split: Split
    materialize: Mapping[str, Materialize]  # by source

    def images(self, position: int, kept: Rows) -> list[tuple[Any, ...]]:
        """Rows of the manifest: of the kept images of a class."""
        wnid, label = self.label_map.wnids[position], self.label_map.labels[position]
        held_out, images = self.split.held_out(len(kept)), []
        for place, row in enumerate(kept):
            source, path, image_id = row[SOURCE], row[PATH], row[IMAGE_ID]
            if not path or self.materialize.get(source) != Materialize.none:
                path = f"{IMAGES}/{wnid}/{file_name(image_id, row[FORMAT])}"
            split = "eval" if place < held_out else "train"
            images.append((image_id, wnid, label, path, split, source, *row[URL:]))
        return images

    def class_row(self, position: int, kept: int, reasons: Counter[str], *, lacks: bool) -> class_table.Row:
        """A row of classes.csv. `lacks`: whether there is more than could be listed, that no fallback made up for."""
        label_map = self.label_map
        wanted = self.wanted(label_map.wnids[position])
        if wanted is None:  # all that there is: one more than there are, where that is not all
            wanted = kept + (lacks or not kept)
        fixed = {
            "label": label_map.labels[position],
            "wnid": label_map.wnids[position],
            "name": label_map.names[position],
            "wanted": wanted,
            "kept": kept,
            "tried": kept + reasons.total(),
        }
        return class_table.Row(
            fixed, reasons, {"words": label_map.words[position], "gloss": label_map.glosses[position]}
        )
