"""The numbers that the page's script draws from, as one JSON object of columns: K classes, and each one's pictures."""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from imagenet_nk.report import metrics_table
from imagenet_nk.report.analysis.analyse import Analysis, ClassMap
from imagenet_nk.report.run_data import RunData
from imagenet_nk.report.thumbnails import SIDE, ContactStrip
from imagenet_nk.storage import files

SelectedImages = Mapping[int, Sequence[int]]  # class row to the rows of `data.images` that are shown, in strip order


def page_data(
    data: RunData,
    analysis: Analysis,
    selected: SelectedImages,
    strips: Mapping[str, ContactStrip],
    galleries: Mapping[str, Sequence[int]],
    page: Path,
) -> dict[str, Any]:
    """galleries: rows of `data.images` by name; page: the folder that the addresses of pictures start from."""
    place = {image: (row, position) for row, images in selected.items() for position, image in enumerate(images)}
    sources = sorted(set(data.images["source"]))
    columns = {name: data.images[name].tolist() for name in ("image_id", "url", "path", "source", "width", "height")}
    return {
        "side": SIDE,
        "root": _root(data.folder, page),
        "sources": sources,
        "classes": _classes(data, analysis),
        "reasons": {name: data.reasons[name].tolist() for name in data.reasons},
        "images": [
            _images(data.classes["wnid"][row], selected.get(row, ()), columns, sources, strips, analysis)
            for row in data.classes.index
        ],
        "galleries": {name: [place[image] for image in images] for name, images in galleries.items()},
        "confused": _pairs(data),
        "explained": [round(float(share), 4) for share in analysis.class_map.explained] if analysis.class_map else [],
        "matrix": _matrix(analysis.class_map) if analysis.class_map else None,
    }


def _root(folder: Path, page: Path) -> str:
    """The address of the data set as seen from the page."""
    if files.is_remote(folder):
        return quote(str(folder), safe="/:")
    return quote(Path(os.path.relpath(folder, page)).as_posix())


def as_script(data: Mapping[str, Any]) -> str:
    """JSON that can stand in a <script> element: no `<` opens or closes a tag, and no line end is JavaScript's own."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text


def _classes(data: RunData, analysis: Analysis) -> dict[str, list[Any]]:
    table = data.classes
    top1 = metrics_table.per_class(data.metrics)
    columns = {name: table[name].tolist() for name in ("label", "wnid", "name", "wanted", "kept", "tried")}
    columns["words"] = table["words"].astype(str).tolist() if "words" in table else table["name"].tolist()
    columns["top1"] = [_number(top1.get(wnid), 3) for wnid in table["wnid"]]
    return columns | _spread(data) | _placed(analysis.class_map, len(table))


def _spread(data: RunData) -> dict[str, list[Any]]:
    centers = data.centers
    if centers is None:
        return {"spread": [None] * len(data.classes)}
    spread_of = {
        wnid: float(spread)
        for wnid, spread, count in zip(centers.wnids, centers.spread, centers.counts, strict=True)
        if count > 1
    }
    return {"spread": [_number(spread_of.get(wnid), 4) for wnid in data.classes["wnid"]]}


def _placed(class_map: ClassMap | None, count: int) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [None] * count for name in ("nearest", "cosine", "x", "y", "tx", "ty")}
    if class_map is None:
        return columns
    for index, row in enumerate(class_map.rows):
        if class_map.nearest[index] >= 0:
            columns["nearest"][row] = class_map.rows[class_map.nearest[index]]
            columns["cosine"][row] = _number(class_map.nearest_cosine[index], 4)
        columns["x"][row], columns["y"][row] = (_number(value, 4) for value in class_map.pca[index])
        if class_map.tsne is not None:
            columns["tx"][row], columns["ty"][row] = (_number(value, 4) for value in class_map.tsne[index])
    return columns


def _images(
    wnid: str,
    images: Sequence[int],
    columns: Mapping[str, Sequence[Any]],
    sources: Sequence[str],
    strips: Mapping[str, ContactStrip],
    analysis: Analysis,
) -> dict[str, Any]:
    """One class's pictures as columns. Ids and paths lose what they share with the class's WNID."""
    scores = analysis.images
    ids = [columns["image_id"][image] for image in images]
    return {
        "id": [_short(image_id, wnid) for image_id in ids],
        "url": [columns["url"][image] for image in images],
        "file": [_file(columns["path"][i], f"images/{wnid}/{id_}.") for i, id_ in zip(images, ids, strict=True)],
        "source": [sources.index(columns["source"][image]) for image in images],
        "width": [columns["width"][image] for image in images],
        "height": [columns["height"][image] for image in images],
        "own": [_number(scores.own[image], 3) for image in images] if scores else [],
        "other": [_number(scores.other[image], 3) for image in images] if scores else [],
        "near": [int(scores.nearest[image]) for image in images] if scores else [],
        "missing": list(strips[wnid].missing) if wnid in strips else [],
    }


def _short(image_id: str, wnid: str) -> str:
    """Without its WNID where that leaves a word beginning with "_"; the page puts it back."""
    return image_id.removeprefix(wnid) if image_id.startswith(f"{wnid}_") else f"={image_id}"


def _file(path: str, usual: str) -> str:
    """The extension alone where the rest is as usual, else "=" and the address of the file."""
    if path.startswith(usual) and "/" not in path[len(usual) :]:
        return path[len(usual) :]
    return f"={Path(path).as_uri() if Path(path).is_absolute() else quote(path)}"


def _pairs(data: RunData) -> list[tuple[int, int, int]]:
    place = {wnid: row for row, wnid in enumerate(data.classes["wnid"])}
    confusions = metrics_table.confused(data.metrics)
    return [(place[a], place[b], count) for a, b, count in confusions if a in place and b in place]


def _matrix(class_map: ClassMap) -> dict[str, Any] | None:
    """The cosines below the diagonal, row by row in the order of `rows`, in 255 steps from `low` to `high`."""
    if class_map.similarity is None:
        return None
    lower = class_map.similarity[np.tril_indices(len(class_map.rows), -1)]
    low, high = float(lower.min()), float(lower.max())
    steps = np.round((lower - low) / max(high - low, 1e-9) * 255).astype(np.uint8)
    return {
        "rows": class_map.rows,
        "order": class_map.order,
        "low": round(low, 4),
        "high": round(high, 4),
        "steps": base64.b64encode(steps.tobytes()).decode(),
    }


def _number(number: float | None, digits: int) -> float | None:
    if number is None or not math.isfinite(number):
        return None
    return float(f"{number:.{digits}g}") if abs(number) < 1 else round(float(number), digits)


def select_images(rows: Iterable[int], always: Iterable[int], per_class: int) -> dict[int, list[int]]:
    """The images that are shown: the first `per_class` of each class, and those that a gallery names.

    rows: the class of each image, in manifest order.
    """
    required = set(always)
    selected: dict[int, list[int]] = {}
    for image, row in enumerate(rows):
        images = selected.setdefault(int(row), [])
        if len(images) < per_class or image in required:
            images.append(image)
    return selected
