from __future__ import annotations

import time
from collections import Counter

import pandas as pd
import pytest

from collect import pictures
from collect.town import WNIDS, Town, kept, local_copy, run, settled_twice
from imagenet_nk.collect.progress import Progress
from imagenet_nk.config import Retry
from imagenet_nk.sampling.listed_order import ListedOrder
from imagenet_nk.sources.local.source import Full
from imagenet_nk.sources.urls.source import Urls


@pytest.mark.parametrize("concurrency", [1, 16, 256])
def test_first_valid_images_in_draw_order_are_kept(town: Town, concurrency: int) -> None:
    summary = run(town, 5, concurrency=concurrency)
    assert kept(town) == town.first_good(5)
    assert summary.kept == 15
    assert summary.short == ()
    manifest = pd.read_parquet(town.folder / "set" / "manifest.parquet")
    for row in manifest.itertuples():
        assert (town.folder / "set" / row.path).read_bytes() == pictures.jpeg(row.image_id)
    table = pd.read_csv(town.folder / "set" / "classes.csv")
    assert list(table["kept"]) == [5, 5, 5]
    reasons = table.drop(columns=["label", "wnid", "name", "wanted", "kept", "tried", "words", "gloss"])
    assert (table["tried"] - table["kept"] == reasons.sum(axis=1)).all()


def test_larger_nk_only_adds_images(town: Town) -> None:
    run(town, 3)
    three = kept(town)
    run(town, 5)
    assert {wnid: ids[:3] for wnid, ids in kept(town).items()} == three
    assert kept(town) == town.first_good(5)
    assert not settled_twice(town)
    town.server.clear()
    run(town, 3)
    assert kept(town) == three
    run(town, 5)
    assert kept(town) == town.first_good(5)
    assert town.asked() == Counter()


def test_fallback_fills_classes_that_lack_images(town: Town) -> None:
    for image_id in [image_id for image_id in town.fates if image_id.startswith(WNIDS[2])]:
        town.put(image_id, "gone")
    local = {f"{wnid}_{number}": f"local {wnid} {number}" for wnid in WNIDS for number in range(1000, 1012)}
    summary = run(town, 4, fallback=local_copy(town, local))
    assert summary.short == ()
    assert summary.sources == {"urls": 8, "full": 4}
    assert kept(town)[WNIDS[0]] == town.first_good(4)[WNIDS[0]]
    assert set(kept(town)[WNIDS[2]]) <= set(local)
    town.server.clear()
    run(town, 4, fallback=Full(str(town.folder / "local")))
    assert town.server.counts() == Counter()


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("with_fallback", [False, True])
def test_list_of_one_class_leaves_the_others_empty_and_complete(
    town: Town, processes: int, with_fallback: bool
) -> None:
    """Nothing is wanted of the others, so they neither hold the run up nor are short."""
    until = time.monotonic() + 60

    def watch(_: Progress) -> None:
        assert time.monotonic() < until, "it never ends"

    ids = [f"{WNIDS[1]}_{number}" for number in (7, 3)]
    source = local_copy(town, {image_id: image_id for image_id in (*ids, f"{WNIDS[0]}_1")})
    (town.folder / "one.txt").write_text("".join(f"{image_id}.JPEG\n" for image_id in ids))
    listed = ListedOrder(0, str(town.folder / "one.txt"))
    fallback = Urls(str(town.folder / "urls.txt")) if with_fallback else None
    summary = run(town, None, source=source, fallback=fallback, sampling=listed, processes=processes, watch=watch)
    assert (summary.kept, summary.short) == (2, ())
    assert kept(town) == {WNIDS[0]: [], WNIDS[1]: ids, WNIDS[2]: []}


def test_fallback_with_the_same_image_ids_keeps_the_files_of_the_source(town: Town) -> None:
    """The ids of ILSVRC's files are those of the list: what is kept stays, what is bad is had from the fallback."""
    for wnid in WNIDS:
        mine = [image_id for image_id in town.fates if image_id.startswith(wnid)]
        for place, image_id in enumerate(mine):
            town.put(image_id, "good" if place < 2 else "gone")
    fallback = local_copy(town, {image_id: f"local {image_id}" for image_id in town.fates})
    summary = run(town, 6, fallback=fallback)
    assert summary.sources == {"urls": 6, "full": 12}
    manifest = pd.read_parquet(town.folder / "set" / "manifest.parquet").set_index("image_id")
    assert manifest.index.is_unique
    for wnid, ids in kept(town).items():
        assert ids[:2] == town.first_good(2)[wnid]
        for image_id in ids:
            stored = (town.folder / "set" / manifest.loc[image_id, "path"]).read_bytes()
            fetched = manifest.loc[image_id, "source"] == "urls"
            assert stored == (pictures.jpeg(image_id) if fetched else pictures.encoded(f"local {image_id}", "PNG"))
    before = (town.folder / "set" / "eval.txt").read_bytes()
    town.server.clear()
    run(town, 6, fallback=fallback, retry=Retry.none)
    assert town.server.counts() == Counter()
    assert (town.folder / "set" / "eval.txt").read_bytes() == before
