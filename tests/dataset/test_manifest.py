from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from imagenet_nk.dataset import manifest
from imagenet_nk.dataset.folder_layout import MANIFEST
from imagenet_nk.dataset.manifest import MANIFEST_COLUMNS, ManifestRow, manifest_frame, read_manifest


def row(number: int, **other: Any) -> ManifestRow:
    values = {name: (number if kind == "int64" else f"{name}{number}") for name, kind in MANIFEST_COLUMNS.items()}
    return ManifestRow(**(values | other))


@pytest.mark.parametrize("group", [2, 100_000])
def test_both_manifests_have_the_bytes_that_pandas_writes(
    group: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "_ROW_GROUP", group)
    odd = {"url": 'http://a/"b",c\n', "final_url": "grün ", "mode": "", "path": "images/n1/a b.jpg"}
    rows = [row(1), row(2, **odd), row(3, url="\r"), row(4), row(5)]
    with manifest.open_writer(tmp_path) as images:
        images.add(rows[:1])
        images.add([])
        images.add(rows[1:])
    frame = manifest_frame(dict(zip(MANIFEST_COLUMNS, each, strict=True)) for each in rows)
    pd.testing.assert_frame_equal(read_manifest(tmp_path), frame)
    frame.to_csv(tmp_path / "expected.csv", index=False, lineterminator="\n")
    assert (tmp_path / "manifest.csv").read_bytes() == (tmp_path / "expected.csv").read_bytes()
    assert list(manifest.iter_columns(tmp_path, ["path", "label"])) == list(
        zip(frame["path"], frame["label"], strict=True)
    )
    if group > len(rows):
        frame.to_parquet(tmp_path / "expected.parquet", index=False, write_page_checksum=True)
        assert (tmp_path / MANIFEST).read_bytes() == (tmp_path / "expected.parquet").read_bytes()


def test_manifest_without_images_has_its_columns(tmp_path: Path) -> None:
    with manifest.open_writer(tmp_path):
        pass
    assert read_manifest(tmp_path).empty
    assert list(read_manifest(tmp_path)) == list(MANIFEST_COLUMNS)
    assert (tmp_path / "manifest.csv").read_text() == ",".join(MANIFEST_COLUMNS) + "\n"


def test_error_while_writing_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeyError), manifest.open_writer(tmp_path) as images:  # noqa: PT012
        images.add([row(1)])
        raise KeyError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("column", MANIFEST_COLUMNS)
def test_every_column_is_documented(column: str) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "formats.md").read_text()
    assert f"`{column}`" in text.partition("### manifest")[2].partition("### classes.csv")[0]
