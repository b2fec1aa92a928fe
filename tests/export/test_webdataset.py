"""Exports that the webdataset library reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import webdataset

from export.conftest import LABELS, wnid_of
from imagenet_nk.export.stage import export
from imagenet_nk.export.webdataset import WebDataset

# The library's reader leaves its files to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


def test_webdataset_reads_each_image_with_its_label(dataset: Path, tmp_path: Path) -> None:
    export(WebDataset(images_per_shard=4), dataset, tmp_path / "to 100%", require_complete=True)
    shards = sorted(path.name for path in (tmp_path / "to 100%").iterdir())
    assert shards == ["train-000000.tar", "train-000001.tar", "val-000000.tar"]
    seen = []
    for shard in shards:
        samples = webdataset.WebDataset(str(tmp_path / "to 100%" / shard), shardshuffle=False).decode("pil")
        for sample in samples:
            image = sample.get("jpg") or sample.get("png")
            assert LABELS[wnid_of(image)] == sample["cls"]
            assert sample["json"]["wnid"] == wnid_of(image)
            seen.append(sample["json"]["image_id"])
    assert len(set(seen)) == 9
