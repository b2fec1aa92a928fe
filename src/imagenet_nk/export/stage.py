"""Stage `export`: from a data set folder to a folder in the form that another tool reads."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pandas as pd

from imagenet_nk.dataset.class_table import read_csv
from imagenet_nk.dataset.folder_layout import MANIFEST
from imagenet_nk.dataset.manifest import read_manifest
from imagenet_nk.errors import DatasetError
from imagenet_nk.export.contract import ExportClass, ExportData, Exporter, ExportImage
from imagenet_nk.lists import list_file
from imagenet_nk.lists.list_file import Entry
from imagenet_nk.storage import files
from imagenet_nk.storage.naming import temp_path

log = logging.getLogger(__name__)


def export(exporter: Exporter, folder: Path, target: Path, *, require_complete: bool) -> None:
    """Write the data set in `folder` to `target`, complete or not at all.

    Raises DatasetError where there is no data set, an image of it is gone, a class is short (with require_complete), or
    `target` has anything in it.
    """
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise DatasetError(f"{target} is not empty; type export.dir=ANOTHER, or remove it first")
    data = load_export_data(folder, require_complete=require_complete)
    part = temp_path(target)
    try:
        part.mkdir(parents=True)
        exporter.write(data, part)
        if target.is_dir():
            target.rmdir()
        part.rename(target)
    except OSError as error:
        raise DatasetError(f"cannot write {target}: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    log.info("export: %d images of %d classes in %s", len(data.images), len(data.classes), target)


def load_export_data(folder: Path, *, require_complete: bool) -> ExportData:
    """The images and classes of a data set folder. Raises DatasetError."""
    if not files.is_file(folder / MANIFEST):
        raise DatasetError(f"{folder} holds no {MANIFEST}: run the stage collect first, stages=[collect,lists,export]")
    table = read_csv(folder / "classes.csv")
    short = table.loc[table["kept"] < table["wanted"], "wnid"].tolist()
    if short and require_complete:
        raise DatasetError(
            f"{len(short)} classes are short of images (first: {short[0]}); collect them, or type "
            "require_complete=false to export what there is"
        )
    manifest = read_manifest(folder)
    if manifest.empty:
        raise DatasetError(f"{folder} has no image to export: see the reasons in {folder / 'classes.csv'}")
    names = dict(zip(table["wnid"], table["name"], strict=True))
    pairs = sorted(set(zip(manifest["label"].tolist(), manifest["wnid"], strict=True)))
    classes = [ExportClass(label, wnid, names.get(wnid, wnid)) for label, wnid in pairs]
    return ExportData(folder, _images(folder, manifest), classes)


def _images(folder: Path, manifest: pd.DataFrame) -> list[ExportImage]:
    columns = ["path", "image_id", "label", "wnid", "split", "width", "height"]
    rows = manifest[columns].itertuples(index=False, name=None)
    images = [
        ExportImage(list_file.resolve(folder / "eval.txt", Entry(path, label)), image_id, label, *rest)
        for path, image_id, label, *rest in rows
    ]
    sizes = [status.size if status else None for status in files.stat_many([image.path for image in images])]
    differing = [
        image.path
        for image, size, expected in zip(images, sizes, manifest["bytes"].tolist(), strict=True)
        if size != expected
    ]
    if differing:
        raise DatasetError(
            f"{len(differing)} images of the manifest are gone or have another size (first: {differing[0]}); "
            "run the stage collect again"
        )
    return images
