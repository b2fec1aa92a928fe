"""A small data set folder whose pictures show their class by their colour."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from imagenet_nk.dataset.manifest import manifest_frame

COLOURS = {"n00000003": (250, 5, 5), "n00000001": (5, 250, 5), "n00000002": (5, 5, 250)}
LABELS = {"n00000001": 4, "n00000002": 7, "n00000003": 9}  # neither dense nor from 0
NAMES = {"n00000001": "crane", "n00000002": "crane", "n00000003": "tench"}


def wnid_of(image: Image.Image) -> str:
    """The class that a picture shows."""
    pixel = np.asarray(image.convert("RGB"))[10, 10].astype(int)
    return min(COLOURS, key=lambda wnid: int(abs(pixel - COLOURS[wnid]).sum()))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Three classes with one image in eval.txt and two in train.txt each; one of the ids has a dot."""
    folder, rows = tmp_path / "data set", []
    for wnid, label in LABELS.items():
        for number, split in enumerate(("eval", "train", "train")):
            suffix, kind = ("png", "PNG") if number == 1 else ("jpg", "JPEG")
            image_id = f"{wnid}_{number}.v2" if number == 2 else f"{wnid}_{number}"
            buffer = io.BytesIO()
            Image.new("RGB", (40, 36), COLOURS[wnid]).save(buffer, kind)
            path = Path("images") / wnid / f"{image_id}.{suffix}"
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(buffer.getvalue())
            rows.append(
                {
                    "image_id": image_id,
                    "wnid": wnid,
                    "label": label,
                    "path": path.as_posix(),
                    "split": split,
                    "source": "test",
                    "url": f"http://example.org/{image_id}",
                    "final_url": "",
                    "sha256": "0" * 64,
                    "bytes": len(buffer.getvalue()),
                    "width": 40,
                    "height": 36,
                    "format": kind,
                    "mode": "RGB",
                    "fetched_at": "2026-01-01T00:00:00Z",
                }
            )
    frame = manifest_frame(rows)
    frame.to_parquet(folder / "manifest.parquet")
    frame.to_csv(folder / "manifest.csv", index=False)
    write_classes(folder, kept=3)
    return folder


def write_classes(folder: Path, kept: int) -> None:
    """classes.csv in which the first class has so many of three images."""
    rows = [
        {"label": label, "wnid": wnid, "name": NAMES[wnid], "wanted": 3, "kept": kept if label == 4 else 3, "tried": 3}
        for wnid, label in LABELS.items()
    ]
    pd.DataFrame(rows).to_csv(folder / "classes.csv", index=False)
