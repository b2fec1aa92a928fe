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

Chosen = Mapping[int, Sequence[int]]  # class row to the rows of `facts.images` that are shown, in strip order


def payload(
    facts: RunData,
    analysis: Analysis,
    chosen: Chosen,
    strips: Mapping[str, ContactStrip],
    galleries: Mapping[str, Sequence[int]],
    page: Path,
) -> dict[str, Any]:
    """galleries: rows of `facts.images` by name; page: the folder that the addresses of pictures start from."""
    place = {image: (row, position) for row, images in chosen.items() for position, image in enumerate(images)}
    sources = sorted(set(facts.images["source"]))
    columns = {name: facts.images[name].tolist() for name in ("image_id", "url", "path", "source", "width", "height")}
    return {
        "side": SIDE,
        "root": _root(facts.folder, page),
        "sources": sources,
        "classes": _classes(facts, analysis),
        "reasons": {name: facts.reasons[name].tolist() for name in facts.reasons},
        "images": [
            _images(facts.classes["wnid"][row], chosen.get(row, ()), columns, sources, strips, analysis)
            for row in facts.classes.index
        ],
        "galleries": {name: [place[image] for image in images] for name, images in galleries.items()},
        "confused": _pairs(facts),
        "explained": [round(float(share), 4) for share in analysis.atlas.explained] if analysis.atlas else [],
        "matrix": _matrix(analysis.atlas) if analysis.atlas else None,
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


def _classes(facts: RunData, analysis: Analysis) -> dict[str, list[Any]]:
    table = facts.classes
    top1 = metrics_table.per_class(facts.metrics)
    columns = {name: table[name].tolist() for name in ("label", "wnid", "name", "wanted", "kept", "tried")}
    columns["words"] = table["words"].astype(str).tolist() if "words" in table else table["name"].tolist()
    columns["top1"] = [_number(top1.get(wnid), 3) for wnid in table["wnid"]]
    return columns | _spread(facts) | _placed(analysis.atlas, len(table))


def _spread(facts: RunData) -> dict[str, list[Any]]:
    centers = facts.centers
    if centers is None:
        return {"spread": [None] * len(facts.classes)}
    known = {
        wnid: float(spread)
        for wnid, spread, count in zip(centers.wnids, centers.spread, centers.counts, strict=True)
        if count > 1
    }
    return {"spread": [_number(known.get(wnid), 4) for wnid in facts.classes["wnid"]]}


def _placed(atlas: ClassMap | None, count: int) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [None] * count for name in ("nearest", "cosine", "x", "y", "tx", "ty")}
    if atlas is None:
        return columns
    for index, row in enumerate(atlas.rows):
        if atlas.nearest[index] >= 0:
            columns["nearest"][row] = atlas.rows[atlas.nearest[index]]
            columns["cosine"][row] = _number(atlas.nearest_cosine[index], 4)
        columns["x"][row], columns["y"][row] = (_number(value, 4) for value in atlas.pca[index])
        if atlas.tsne is not None:
            columns["tx"][row], columns["ty"][row] = (_number(value, 4) for value in atlas.tsne[index])
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
    found = analysis.images
    ids = [columns["image_id"][image] for image in images]
    return {
        "id": [_short(image_id, wnid) for image_id in ids],
        "url": [columns["url"][image] for image in images],
        "file": [_file(columns["path"][i], f"images/{wnid}/{id_}.") for i, id_ in zip(images, ids, strict=True)],
        "source": [sources.index(columns["source"][image]) for image in images],
        "width": [columns["width"][image] for image in images],
        "height": [columns["height"][image] for image in images],
        "own": [_number(found.own[image], 3) for image in images] if found else [],
        "other": [_number(found.other[image], 3) for image in images] if found else [],
        "near": [int(found.nearest[image]) for image in images] if found else [],
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


def _pairs(facts: RunData) -> list[tuple[int, int, int]]:
    place = {wnid: row for row, wnid in enumerate(facts.classes["wnid"])}
    known = metrics_table.confused(facts.metrics)
    return [(place[a], place[b], count) for a, b, count in known if a in place and b in place]


def _matrix(atlas: ClassMap) -> dict[str, Any] | None:
    """The cosines below the diagonal, row by row in the order of `rows`, in 255 steps from `low` to `high`."""
    if atlas.similarity is None:
        return None
    lower = atlas.similarity[np.tril_indices(len(atlas.rows), -1)]
    low, high = float(lower.min()), float(lower.max())
    steps = np.round((lower - low) / max(high - low, 1e-9) * 255).astype(np.uint8)
    return {
        "rows": atlas.rows,
        "order": atlas.order,
        "low": round(low, 4),
        "high": round(high, 4),
        "steps": base64.b64encode(steps.tobytes()).decode(),
    }


def _number(number: float | None, digits: int) -> float | None:
    if number is None or not math.isfinite(number):
        return None
    return float(f"{number:.{digits}g}") if abs(number) < 1 else round(float(number), digits)


def chosen_of(rows: Iterable[int], always: Iterable[int], per_class: int) -> dict[int, list[int]]:
    """The images that are shown: the first `per_class` of each class, and those that a gallery names.

    rows: the class of each image, in manifest order.
    """
    wanted = set(always)
    chosen: dict[int, list[int]] = {}
    for image, row in enumerate(rows):
        images = chosen.setdefault(int(row), [])
        if len(images) < per_class or image in wanted:
            images.append(image)
    return chosen
