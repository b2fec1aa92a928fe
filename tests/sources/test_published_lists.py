"""`sampling=list` over a published list, collected through each source that can find an image by its name."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from imagenet_nk.collect.stage import collect
from imagenet_nk.sampling.listed_order import ListedOrder
from imagenet_nk.sources.archive.source import Archive
from imagenet_nk.sources.contract import Source
from imagenet_nk.sources.hub.source import Hub
from imagenet_nk.sources.local.source import Full
from imagenet_nk.sources.urls.source import Urls
from sources import shards
from sources.tars import jpeg, train
from sources.test_remote_collected import job
from sources.web import Web, web

pytestmark = pytest.mark.real
Classes = dict[str, list[tuple[str, bytes]]]


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as site:
        yield site


@pytest.fixture
def listed(shared: Path) -> Path:
    return shared / "data" / "lists" / "5imgs_class.txt"


@pytest.fixture
def classes(listed: Path) -> Classes:
    """The first 12 classes of the list: the images that it names among 25 others, sorted as those of a tar are."""
    names: dict[str, list[str]] = {}
    for name in listed.read_text().split():
        names.setdefault(name.partition("_")[0], []).append(name)
    rng = random.Random(0)
    others = rng.sample(range(30_000, 60_000), 25)
    there = {w: sorted([*names[w], *(f"{w}_{number}.JPEG" for number in others)]) for w in sorted(names)[:12]}
    return {wnid: [(name, jpeg(rng.randrange(10**6), 24)) for name in files] for wnid, files in there.items()}


def archive(classes: Classes, _: Path, server: Web) -> Source:
    return Archive(train=server.put("/train.tar", train(classes)))


def full(classes: Classes, folder: Path, _: Web) -> Source:
    for wnid, files in classes.items():
        (folder / "train" / wnid).mkdir(parents=True)
        for name, data in files:
            (folder / "train" / wnid / name).write_bytes(data)
    return Full(str(folder))


def hub(classes: Classes, folder: Path, _: Web) -> Source:
    images = [(name, label, data) for label, files in enumerate(classes.values()) for name, data in files]
    (folder / "data").mkdir(parents=True)
    for number, hand in enumerate(shards.dealt(images, 3)):
        (folder / "data" / f"train-{number:05d}-of-00003.parquet").write_bytes(shards.parquet(hand, list(classes)))
    return Hub(str(folder))


def urls(classes: Classes, folder: Path, server: Web) -> Source:
    images = [(name, server.put(f"/{name}", data)) for files in classes.values() for name, data in files]
    folder.mkdir()
    (folder / "list.txt").write_text("".join(f"{name.removesuffix('.JPEG')}\t{url}\n" for name, url in images))
    return Urls(str(folder / "list.txt"))


@pytest.mark.parametrize("make", [archive, full, hub, urls])
def test_published_list_gives_exactly_its_images_in_order(
    tmp_path: Path, server: Web, listed: Path, classes: Classes, make: Callable[[Classes, Path, Web], Source]
) -> None:
    source = make(classes, tmp_path / "source", server)
    summary = collect(
        replace(job(tmp_path / "set", source, nk=None, wnids=list(classes)), sampling=ListedOrder(0, str(listed)))
    )
    assert (summary.kept, summary.short, summary.missing) == (60, (), ())
    rows = pd.read_parquet(tmp_path / "set" / "manifest.parquet")
    names = [name.removesuffix(".JPEG") for name in listed.read_text().split()]
    bytes_of = {name.removesuffix(".JPEG"): data for files in classes.values() for name, data in files}
    for wnid, of_class in rows.groupby("wnid"):
        assert list(of_class.image_id) == [name for name in names if name.startswith(str(wnid))]
    for image_id, path in zip(rows.image_id, rows.path, strict=True):
        assert (tmp_path / "set" / path).read_bytes() == bytes_of[image_id]
