"""The remote sources as the stage `collect` runs them: its transport, limits, inspection, ledger and tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from imagenet_nk import classes
from imagenet_nk.collect.job import Job
from imagenet_nk.collect.stage import collect
from imagenet_nk.config import ClassesConfig, HttpConfig, InspectConfig, LabelsConfig, Retry
from imagenet_nk.sampling import EvalOnly, RandomOrder
from imagenet_nk.sources.archive import Archive
from imagenet_nk.sources.base import Source
from imagenet_nk.sources.none import Nothing
from imagenet_nk.sources.urls import Urls
from sources.tars import members, tar, train
from sources.web import Web, web

TEDDY = "n04399382"  # of the 1000 classes the one that no list of fall11 has
WNIDS = ["n01440764", "n02119789", TEDDY]


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as site:
        yield site


def job(folder: Path, source: Source, fallback: Source | None = None, *, nk: int | None = 4, seed: int = 0) -> Job:
    label_map = classes.load(
        ClassesConfig(table="imagenet-1k", wnids=WNIDS), LabelsConfig(order="sorted"), lambda url: Path(url)
    )
    http = HttpConfig(allow_private=True, backoff=0.0, retries=0)
    return Job(
        source,
        fallback or Nothing(),
        RandomOrder(seed),
        EvalOnly(),
        label_map,
        nk,
        folder,
        http,
        InspectConfig(min_side=8),
        Retry.none,
        f"{source.name} {nk}",
    )


def kept(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "manifest.parquet").set_index("image_id")


def test_a_class_in_no_list_is_filled_by_the_archive(tmp_path: Path, server: Web) -> None:
    lines = []
    for wnid in WNIDS[:2]:
        for name, data in members(wnid, 6):
            lines.append(f"{name.removesuffix('.JPEG')}\t{server.put(f'/{name}', data)}\n")
    (tmp_path / "list.txt").write_text("".join(lines))
    archive = Archive(train=server.put("/train.tar", train({wnid: members(wnid, 12) for wnid in WNIDS})))
    summary = collect(job(tmp_path / "set", Urls(str(tmp_path / "list.txt")), archive))
    assert (summary.kept, summary.short) == (12, ())
    rows = kept(tmp_path / "set")
    assert rows.groupby("wnid")["source"].unique().map(set).to_dict() == {
        WNIDS[0]: {"urls"}, WNIDS[1]: {"urls"}, TEDDY: {"archive"}
    }  # fmt: skip


@pytest.mark.parametrize("form", ["train", "synset", "local"])
def test_an_archive_fills_all_classes_the_same_in_every_form(tmp_path: Path, server: Web, form: str) -> None:
    files = {wnid: members(wnid, 12) for wnid in WNIDS}
    sources: dict[str, Source] = {"train": Archive(train=server.put("/train.tar", train(files)))}
    for wnid in WNIDS:
        server.put(f"/{wnid}.tar", tar(files[wnid]))
    sources["synset"] = Archive(synset=server.base + "/{wnid}.tar")
    (tmp_path / "train.tar").write_bytes(train(files))
    sources["local"] = Archive(train=str(tmp_path / "train.tar"))
    collect(job(tmp_path / "ten", sources[form], nk=8))
    collect(job(tmp_path / "five", sources[form], nk=3))
    more, fewer = kept(tmp_path / "ten"), kept(tmp_path / "five")
    assert more.groupby("wnid").size().to_dict() == dict.fromkeys(WNIDS, 8)
    assert [i for w in WNIDS for i in fewer[fewer.wnid == w].index] == [
        i for w in WNIDS for i in more[more.wnid == w].index[:3]
    ]
    there = {name.removesuffix(".JPEG"): data for listed in files.values() for name, data in listed}
    for image_id, row in more.iterrows():
        assert (tmp_path / "ten" / row.path).read_bytes() == there[str(image_id)]


def test_all_of_an_archive_is_all_and_asking_again_asks_nothing(tmp_path: Path, server: Web) -> None:
    files = {wnid: members(wnid, 12) for wnid in WNIDS}
    source = Archive(train=server.put("/train.tar", train(files)))
    summary = collect(job(tmp_path / "set", source, nk=None))
    assert summary.kept == 36
    server.asked.clear()
    collect(job(tmp_path / "set", source, nk=None))
    assert not server.asked


def test_raising_nk_only_adds(tmp_path: Path, server: Web) -> None:
    files = {wnid: members(wnid, 30) for wnid in WNIDS}
    url = server.put("/train.tar", train(files))
    collect(job(tmp_path / "set", Archive(train=url), nk=5))
    five = kept(tmp_path / "set")
    collect(job(tmp_path / "set", Archive(train=url), nk=10))
    ten = kept(tmp_path / "set")
    collect(job(tmp_path / "fresh", Archive(train=url), nk=10))
    assert set(five.index) < set(ten.index)
    fresh = kept(tmp_path / "fresh")
    assert list(ten.index) == list(fresh.index)
