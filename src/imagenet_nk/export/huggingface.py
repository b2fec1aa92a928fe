"""`export=hf`: a parquet data set with an Image column and a ClassLabel, for datasets.load_dataset(FOLDER)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imagenet_nk.export.contract import ExportData, ExportImage, require_library

_SPLITS = {"eval": "validation", "train": "train"}


class HuggingFace:
    """One parquet file a split, in data/. The class index is that of ClassLabel; `original_label` is our label."""

    def __init__(self) -> None:
        require_library("datasets", "hf")

    def write(self, data: ExportData, folder: Path) -> None:
        """Write into an empty folder."""
        import datasets

        names = [f"{one.wnid} {one.name}" for one in data.classes]  # names alone occur twice: two classes are cranes
        features = datasets.Features(
            {
                "image": datasets.Image(),
                "label": datasets.ClassLabel(names=names),
                "original_label": datasets.Value("int64"),
                "wnid": datasets.Value("string"),
                "image_id": datasets.Value("string"),
            }
        )
        (folder / "data").mkdir()
        cache = folder / ".cache"
        with _no_progress_bars():
            for split, images in data.splits().items():
                made = datasets.Dataset.from_generator(
                    _rows,
                    features=features,
                    gen_kwargs={"images": images, "index": data.class_index()},
                    cache_dir=str(cache),
                )
                made.to_parquet(str(folder / "data" / f"{_SPLITS[split]}-00000-of-00001.parquet"))
        shutil.rmtree(cache, ignore_errors=True)


def _rows(images: Sequence[ExportImage], index: dict[int, int]) -> Iterator[dict[str, Any]]:
    for image in images:
        yield {
            "image": {"bytes": image.path.read_bytes(), "path": image.path.name},
            "label": index[image.label],
            "original_label": image.label,
            "wnid": image.wnid,
            "image_id": image.image_id,
        }


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    import datasets

    were_disabled = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not were_disabled:
            datasets.enable_progress_bars()
