"""Croissant metadata, validated and read by mlcroissant."""

from __future__ import annotations

import logging
from pathlib import Path

import mlcroissant
import pandas as pd
import pytest

from imagenet_nk.export.croissant import Croissant
from imagenet_nk.export.stage import export

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of rdflib, which mlcroissant uses


def test_mlcroissant_validates_it_and_reads_the_rows_of_the_manifest(
    dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    export(Croissant(), dataset, tmp_path / "target", require_complete=True)
    with caplog.at_level(logging.WARNING):
        described = mlcroissant.Dataset(jsonld=str(tmp_path / "target" / "croissant.json"))
    assert not described.metadata.ctx.issues.errors
    assert not described.metadata.ctx.issues.warnings
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    expected = pd.read_csv(dataset / "manifest.csv", keep_default_na=False)
    records = list(described.records("images"))
    assert len(records) == len(expected) == 9
    for record, (_, row) in zip(records, expected.iterrows(), strict=True):
        read = {key.removeprefix("images/"): value for key, value in record.items()}
        assert read["image_id"].decode() == row["image_id"]
        assert (read["label"], read["bytes"]) == (row["label"], row["bytes"])
        assert read["url"].decode() == row["url"]


def test_no_image_is_part_of_it(dataset: Path, tmp_path: Path) -> None:
    export(Croissant(), dataset, tmp_path / "target", require_complete=True)
    assert sorted(path.name for path in (tmp_path / "target").iterdir()) == ["croissant.json", "manifest.csv"]
