from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from imagenet_nk.app import plan
from imagenet_nk.classes import loading
from imagenet_nk.collect.stage import Job
from imagenet_nk.config import ClassesConfig, HttpConfig, InspectConfig, LabelsConfig, Retry
from imagenet_nk.sampling.draw_order import EvalOnly, RandomOrder
from imagenet_nk.sources.archive.source import Archive
from imagenet_nk.sources.contract import Source
from imagenet_nk.sources.hub.source import Hub
from imagenet_nk.sources.local.source import Full
from imagenet_nk.sources.none import NoSource
from imagenet_nk.sources.urls.source import Urls
from sources import shards
from sources.tars import members, train

WNIDS = ["n01440764", "n01443537"]


@pytest.fixture
def lines(tmp_path: Path) -> Callable[[Source], dict[str, str]]:
    label_map = loading.load(ClassesConfig(table="imagenet-1k", wnids=WNIDS), LabelsConfig(order="sorted"))
    (tmp_path / "train.tar").write_bytes(train({wnid: members(wnid, 12) for wnid in WNIDS}))
    (tmp_path / "list.txt").write_text(
        "".join(f"{wnid}_{n}\thttp://a.example/{wnid}/{n}.jpg\n" for wnid in WNIDS for n in range(20))
    )
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "train.parquet").write_bytes(shards.parquet(shards.pictures(9)))

    def describe(source: Source) -> dict[str, str]:
        settings = HttpConfig(), InspectConfig(), Retry.none, ""
        job = Job(source, NoSource(), RandomOrder(0), EvalOnly(), label_map, 10, tmp_path / "set", *settings)
        return dict(line.split(maxsplit=1) for line in plan.describe(job, ["collect"], "resnet50"))

    return describe


def test_plan_uses_the_cost_model_of_each_source(tmp_path: Path, lines: Callable[[Source], dict[str, str]]) -> None:
    urls = lines(Urls(str(tmp_path / "list.txt")))
    assert urls["requests"] == "about 50 (1.0 for each candidate, of which 40% give an image, assumed)"
    assert "fetched" not in urls
    archive = lines(Archive(train=str(tmp_path / "train.tar")))
    assert archive["requests"] == "about 37 (1.8 for each candidate, of which 97% give an image, assumed)"
    assert archive["fetched"].startswith("about 0.00 GB (2.2 times as much")
    hub = lines(Hub(str(tmp_path / "hub")))
    assert "requests" not in hub
    assert hub["fetched"].startswith("about 0.01 GB (2.5 times")
    assert {"requests", "fetched", "bytes"}.isdisjoint(lines(Full(str(tmp_path / "train.tar"))))
