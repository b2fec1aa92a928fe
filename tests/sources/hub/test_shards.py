"""A hub whose bytes arrive other than they were sent: nothing of that is held against an image, or let in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from imagenet_nk.collect.stage import collect
from imagenet_nk.sources.hub.source import Hub
from sources.hub_server import Hub as Server
from sources.shards import WNIDS, parquet, pictures, webdataset
from sources.tars import jpeg
from sources.test_remote_collected import job

IMAGES = [(name, label, jpeg(n, 160)) for n, (name, label, _) in enumerate(pictures(5))]
_NAMES = {"class_label": {"names": dict(enumerate(WNIDS))}}
CARD = {"dataset_info": {"features": [{"name": "cls", "dtype": _NAMES}]}}
SETS = {"train.parquet": parquet(IMAGES, rows=5), "train.tar": webdataset(IMAGES)}


@pytest.mark.parametrize("name", list(SETS))
def test_what_lies_there_damaged_is_settled_so_and_not_asked_for_again_and_again(
    tmp_path: Path, served: Callable[..., Server], name: str
) -> None:
    broken = [(image, label, b"no picture" * (n % 3) + data) for n, (image, label, data) in enumerate(IMAGES)]
    make = parquet if name.endswith("parquet") else webdataset
    server = served({name: make(broken)}, CARD)
    summary = collect(job(tmp_path / "set", Hub("some/set"), nk=None, wnids=WNIDS))
    assert (summary.kept, dict(summary.reasons)) == (5, {"not_image": 10})
    assert server.fetched()[name] < 3.5 * len(server.files[name]), "a row group twice, or each image once more"
