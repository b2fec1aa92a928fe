"""Parquet files and webdataset tars for tests, as data sets on the hub have them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sources.small_tars import tar_bytes

TENCH, GOLDFISH, SHARK = "n01440764", "n01443537", "n01484850"
WNIDS = [TENCH, GOLDFISH, SHARK]

Image = tuple[str, int, bytes]  # name, label, bytes


def pictures(per_class: int, classes: Sequence[str] = WNIDS) -> list[Image]:
    """Names as ImageNet gives them, classes mixed, bytes that name their picture."""
    return [
        (f"{wnid}_{n}.JPEG", label, f"{wnid}_{n} ".encode() * 20)
        for n in range(per_class)
        for label, wnid in enumerate(classes)
    ]


def parquet(
    images: Sequence[Image], names: Sequence[str] | None = WNIDS, rows: int = 4, paths: bool = True, **columns: Any
) -> bytes:
    """A shard as `datasets` writes it: struct image {bytes, path}, int64 label, class names in the schema."""
    table = pa.table(
        columns
        or {
            "image": [{"bytes": data, "path": name if paths else None} for name, _, data in images],
            "label": pa.array([label for _, label, _ in images], pa.int64()),
        }
    )
    if names is not None:
        feature = {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": feature}})})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=rows)
    return buffer.getvalue()


def webdataset(images: Sequence[Image], label: str = "cls") -> bytes:
    """A shard as webdataset writes it: <key>.cls or .json, and <key>.jpg, one sample after the other."""
    members: dict[str, bytes] = {}
    for name, number, data in images:
        key = name.partition(".")[0]
        members[f"{key}.{label}"] = str(number).encode() if label == "cls" else json.dumps({"label": number}).encode()
        members[f"{key}.jpg"] = data
    return tar_bytes(members)


def dealt(images: Sequence[Image], hands: int) -> list[list[Image]]:
    """Images dealt to shards one by one."""
    return [list(images[hand::hands]) for hand in range(hands)]
