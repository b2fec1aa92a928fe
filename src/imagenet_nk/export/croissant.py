"""`export=croissant`: croissant.json, the data set described for machines, with its manifest; no image.

Croissant 1.1 with the responsible-AI vocabulary: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html
"""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from imagenet_nk.dataset.manifest import MANIFEST_COLUMNS
from imagenet_nk.export.contract import ExportData, require_library
from imagenet_nk.storage.files import sha256
from imagenet_nk.version import __version__

_DESCRIPTIONS = {
    "image_id": "Identifier of the image, unique in its source.",
    "wnid": "WordNet synset of the class.",
    "label": "Number of the class in the list files.",
    "path": "Where the collector's copy of the image lies, relative to its data set folder.",
    "split": "eval or train.",
    "source": "The source that gave the image.",
    "url": "Address that was asked for.",
    "final_url": "Address that answered, after redirects.",
    "sha256": "SHA-256 of the image's bytes, hexadecimal.",
    "bytes": "Length of the image file.",
    "width": "Width in pixels.",
    "height": "Height in pixels.",
    "format": "Format of the image file.",
    "mode": "Colour mode, as Pillow calls it.",
    "fetched_at": "When the image was fetched, ISO 8601 in UTC.",
}


class Croissant:
    """croissant.json beside a copy of manifest.csv, whose rows are its records."""

    def __init__(self, name: str = "imagenet-nk sample", license: str = "https://image-net.org/download.php") -> None:  # noqa: A002
        require_library("mlcroissant", "croissant")
        self.name, self.license = name, license

    def write(self, data: ExportData, folder: Path) -> None:
        """Write into an empty folder."""
        target = folder / "manifest.csv"
        with (data.folder / "manifest.csv").open("rb") as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
        (folder / "croissant.json").write_text(
            json.dumps(self._metadata(data, target), indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8"
        )

    def _metadata(self, data: ExportData, manifest: Path) -> Any:
        import mlcroissant as mlc

        file = mlc.FileObject(
            id="manifest.csv",
            name="manifest.csv",
            description="One row an image: addresses, hashes and sizes.",
            content_url="manifest.csv",
            encoding_formats=["text/csv"],
            sha256=sha256(manifest),
        )
        types = {"string": mlc.DataType.TEXT, "int64": mlc.DataType.INTEGER}
        fields = [
            mlc.Field(
                id=f"images/{column}",
                name=column,
                description=_DESCRIPTIONS[column],
                data_types=[types[kind]],
                source=mlc.Source(file_object="manifest.csv", extract=mlc.Extract(column=column)),
            )
            for column, kind in MANIFEST_COLUMNS.items()
        ]
        metadata = mlc.Metadata(
            name=self.name,
            description=(
                f"{len(data.images)} images of {len(data.classes)} ImageNet classes, as addresses and hashes; "
                f"collected with imagenet-nk {__version__}. The images themselves are not part of it."
            ),
            conforms_to=["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
            license=[self.license],
            url="https://image-net.org/",
            version="1.0.0",
            date_published=_last_fetched(manifest),
            cite_as="Deng et al. ImageNet: A Large-Scale Hierarchical Image Database. CVPR 2009.",
            data_collection=(
                "Candidates of each class in an order drawn from a seed; the first valid ones are kept. Broken, too "
                "small, repeated and placeholder images are rejected."
            ),
            data_biases=(
                "ImageNet's classes and pictures come from the Web of about 2010 and over-represent some regions and "
                "people; addresses that no longer answer are missing."
            ),
            personal_sensitive_information="Photographs may show people. The terms of ImageNet apply.",
            data_use_cases="Research: class centers, few-shot evaluation, calibration.",
            distribution=[file],
            record_sets=[mlc.RecordSet(id="images", name="images", description="The kept images.", fields=fields)],
        )
        return metadata.to_json()


def _last_fetched(manifest: Path) -> datetime:
    """When the newest image was fetched: the same manifest gives the same file."""
    frame = pd.read_csv(manifest, usecols=["fetched_at"])
    newest: pd.Timestamp = pd.to_datetime(frame["fetched_at"], utc=True, format="ISO8601").max()
    return newest.to_pydatetime()
