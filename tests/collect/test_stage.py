"""The whole stage over a small web on loopback."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest

from collect import pictures
from collect.hostile import Hostile, answer, hostile, redirect
from imagenet_nk.classes.label_map import LabelMap
from imagenet_nk.classes.table import ClassTable
from imagenet_nk.collect import stage
from imagenet_nk.collect.job import Job, ProgressCallback
from imagenet_nk.collect.progress import Progress
from imagenet_nk.config import CrossClassDuplicates, HttpConfig, InspectConfig, Retry
from imagenet_nk.dataset.dataset import fingerprint
from imagenet_nk.dataset.folder_layout import LEDGER
from imagenet_nk.dataset.summary import Summary
from imagenet_nk.dataset.table_writer import TableWriter
from imagenet_nk.engine.local import Local
from imagenet_nk.errors import DatasetError, SourceError
from imagenet_nk.lists import stage as lists_stage
from imagenet_nk.net import host_table, retry_policy
from imagenet_nk.sampling.draw_order import EvalOnly, RandomOrder, Sampling, Split, draw
from imagenet_nk.sampling.listed_order import ListedOrder
from imagenet_nk.sources.contract import Source
from imagenet_nk.sources.local.source import Full
from imagenet_nk.sources.none import NoSource
from imagenet_nk.sources.urls.source import Urls

ROOT = Path(__file__).resolve().parents[2]
WNIDS = ("n01440764", "n01443537", "n01484850")
PLACEHOLDER = pictures.encoded("nothing here", "PNG")
NOTHING = ("/photo_unavailable.png", "/nothing.png")


@dataclass
class Town:
    """A web of `per_class` addresses a class, four in ten of them bad, and its list in the fall11 form."""

    server: Hostile
    folder: Path
    per_class: int = 30
    fates: dict[str, str] = field(default_factory=dict)  # by image id

    def build(self, generator: random.Random) -> None:
        kinds = ["good"] * 6 + ["gone", "html", "cut", "grey"]
        for path in NOTHING:
            self.server.put(path, answer(PLACEHOLDER))
        for wnid in WNIDS:
            for number in range(self.per_class):
                self.put(f"{wnid}_{number}", generator.choice(kinds))
        self.write_list()

    def put(self, image_id: str, fate: str) -> None:
        body = pictures.jpeg(image_id)
        pages = {
            "good": answer(body),
            "gone": answer(b"", "404 Not Found"),
            "html": answer(b"<html>not here</html>"),
            "cut": answer(body[: len(body) // 2]),
            "grey": redirect(NOTHING[0]),
            "sly": redirect(NOTHING[1]),  # nobody knows the address; its bytes must give it away
        }
        self.fates[image_id] = fate
        self.server.put(f"/{image_id}.jpg", pages[fate])

    def write_list(self) -> None:
        lines = [f"{image_id}\t{self.server.url(f'/{image_id}.jpg')}\n" for image_id in self.fates]
        (self.folder / "urls.txt").write_text("".join(lines))

    def first_good(self, nk: int, seed: int = 0) -> dict[str, list[str]]:
        """The first nk good image ids of each class in draw order: what a run must keep."""
        kept = {}
        for wnid in WNIDS:
            mine = [image_id for image_id in self.fates if image_id.startswith(wnid)]
            mine.sort(key=lambda image_id: draw(seed, wnid, image_id))
            kept[wnid] = [image_id for image_id in mine if self.fates[image_id] == "good"][:nk]
        return kept

    def asked(self) -> Counter[str]:
        return Counter({path: count for path, count in self.server.counts().items() if path not in NOTHING})


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with hostile("0.0.0.0") as server:
        one = Town(server, tmp_path)
        one.build(random.Random(7))
        yield one


def label_map(wnids: tuple[str, ...] = WNIDS) -> LabelMap:
    return LabelMap.build({wnid: number for number, wnid in enumerate(wnids)}, ClassTable("test", wnids), "test")


def run(
    town: Town,
    nk: int | None = 5,
    *,
    folder: str = "set",
    source: Source | None = None,
    fallback: Source | None = None,
    seed: int = 0,
    retry: Retry = Retry.none,
    split: Split | None = None,
    inspect: dict[str, object] | None = None,
    sampling: Sampling | None = None,
    processes: int = 1,
    watch: ProgressCallback = lambda _: None,
    **http: object,
) -> Summary:
    """stage.collect and stage.lists, as the pipeline puts them together."""
    limits = {
        "allow_private": True,
        "deadline": 5.0,
        "first_byte_timeout": 2.0,
    }
    into = town.folder / folder
    used = source or Urls(str(town.folder / "urls.txt"))
    inspection = InspectConfig(**(inspect or {}))  # type: ignore[arg-type]
    job = Job(
        source=used,
        fallback=fallback or NoSource(),
        sampling=sampling or RandomOrder(seed),
        split=split or EvalOnly(),
        label_map=label_map(),
        nk=nk,
        folder=into,
        http=HttpConfig(**(limits | http)),  # type: ignore[arg-type]
        inspect=inspection,
        retry=retry,
        fingerprint=fingerprint(
            {
                "seed": seed,
                "nk": nk,
                "source": used.name,
                "fallback": (fallback or NoSource()).name,
                "i": repr(inspection),
            }
        ),
        engine=Local(processes),
    )
    summary = stage.collect(job, watch)
    lists_stage.write(into, job.label_map, " ", job.split)
    return summary


def kept(town: Town, folder: str = "set") -> dict[str, list[str]]:
    """Image ids by class in the order of the list, which must be what stands in images/."""
    into = town.folder / folder
    entries: dict[str, list[str]] = {wnid: [] for wnid in WNIDS}
    lists = [into / name for name in ("eval.txt", "train.txt") if (into / name).is_file()]
    for line in "".join(path.read_text() for path in lists).splitlines():
        path, label = line.split()
        wnid, name = Path(path).parts[-2:]
        assert WNIDS[int(label)] == wnid
        entries[wnid].append(name.rpartition(".")[0])
    on_disk = sorted(path.stem for path in (into / "images").rglob("*") if path.is_file())
    assert on_disk == sorted(image_id for ids in entries.values() for image_id in ids)
    return entries


# --- exact, a prefix, nothing twice


@pytest.mark.parametrize("concurrency", [1, 16, 256])
def test_the_first_good_ones_in_draw_order_are_kept(town: Town, concurrency: int) -> None:
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


def test_more_only_adds_and_less_only_leaves_out(town: Town) -> None:
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


def settled_twice(town: Town) -> list[str]:
    """Candidates that were settled by one run and asked again by another: those in flight at its end are none."""
    ledger = sqlite3.connect(town.folder / "set" / LEDGER)
    rows = ledger.execute("SELECT key FROM attempts WHERE final GROUP BY source, rank, key HAVING count(*) > 1")
    keys = [key for (key,) in rows]
    ledger.close()
    return keys


def test_a_second_run_asks_nothing_and_changes_nothing(town: Town) -> None:
    run(town, 5)
    before = {path: path.read_bytes() for path in (town.folder / "set").rglob("*.txt")}
    town.server.clear()
    assert run(town, 5).kept == 15
    assert town.server.counts() == Counter()
    assert {path: path.read_bytes() for path in before} == before


def test_a_class_that_is_short_says_so(town: Town) -> None:
    good = {wnid: len(ids) for wnid, ids in town.first_good(10**6).items()}
    summary = run(town, max(good.values()))
    assert kept(town) == town.first_good(10**6)
    assert set(summary.short) == {wnid for wnid, count in good.items() if count < max(good.values())}
    run(town, None, folder="all")
    assert kept(town, "all") == kept(town)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_file_that_was_lost_is_fetched_again(town: Town, processes: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    run(town, 5)
    assert "missing or damaged" not in caplog.text
    lost, cut = (town.folder / "set" / "images" / WNIDS[0] / f"{town.first_good(5)[WNIDS[0]][n]}.jpg" for n in (0, 3))
    lost.unlink()
    cut.write_bytes(cut.read_bytes()[:-1])
    town.server.clear()
    run(town, 5, processes=processes)
    assert "missing or damaged and are fetched again: 2" in caplog.text
    assert kept(town) == town.first_good(5)
    assert sorted(settled_twice(town)) == sorted([lost.stem, cut.stem])


def test_a_clock_that_jumps_has_no_effect(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    jumps = random.Random(0)
    monkeypatch.setattr(time, "time", lambda: jumps.uniform(0, 4e9))
    run(town, 5)
    assert kept(town) == town.first_good(5)


# --- whose folder it is


def test_another_draw_is_refused_with_both_ways_out(town: Town) -> None:
    run(town, 3)
    for other in ({"seed": 1}, {"source": Full(str(town.folder))}):
        with pytest.raises(DatasetError) as caught:
            run(town, 3, **other)  # type: ignore[arg-type]
        line = str(caught.value)
        assert "\n" not in line
        assert "dataset.dir=" in line
        assert "seed=0" in line or "source=urls" in line
    with (town.folder / "urls.txt").open("a") as file:
        file.write(f"{WNIDS[0]}_9999\t{town.server.url('/new.jpg')}\n")
    with pytest.raises(DatasetError, match=r"dataset\.dir="):
        run(town, 4)


# --- placeholders and pictures in two classes


def test_a_placeholder_without_a_known_address_is_thrown_out_and_replaced(town: Town) -> None:
    """Its bytes come from many addresses, from each one with a redirect and status 200."""
    for image_id in [image_id for image_id, fate in town.fates.items() if fate == "grey"]:
        town.put(image_id, "sly")
    run(town, 8, concurrency=4)
    assert "sly" in {town.fates[f"{path[1:-4]}"] for path in town.asked()}
    assert kept(town) == town.first_good(8)
    table = pd.read_csv(town.folder / "set" / "classes.csv")
    assert table["placeholder"].sum() >= 3
    assert "nothing" not in (town.folder / "set" / "manifest.csv").read_text()


def test_a_placeholder_found_by_a_later_run_is_replaced_in_every_class(town: Town) -> None:
    """With nk=1 its bytes were met too seldom to be known."""
    for wnid in WNIDS:
        first = sorted((i for i in town.fates if i.startswith(wnid)), key=lambda i: draw(0, wnid, i))
        for place, image_id in enumerate(first):
            town.put(image_id, "sly" if place == (0 if wnid != WNIDS[2] else 2) else "good")
    run(town, 1)
    assert Counter(town.fates[ids[0]] for ids in kept(town).values()) == {"sly": 2, "good": 1}
    run(town, 3)
    assert kept(town) == town.first_good(3)
    run(town, 1)
    undisturbed = kept(town)
    assert all(len(ids) == 1 for ids in undisturbed.values())


@pytest.mark.parametrize("cross_class", ["report", "drop"])
def test_the_same_picture_in_two_classes(town: Town, cross_class: str) -> None:
    first = [town.first_good(1)[wnid][0] for wnid in WNIDS[:2]]
    for image_id in first:
        body = pictures.jpeg("twins")
        comment = b"\xff\xfe\0\x10" + image_id[-14:].encode().rjust(14)
        town.server.put(f"/{image_id}.jpg", answer(body[:2] + comment + body[2:]))
    summary = run(town, 3, inspect={"cross_class_duplicates": CrossClassDuplicates(cross_class)})
    assert summary.shared == (2 if cross_class == "report" else 0)
    assert {image_id in ids for image_id in first for ids in kept(town).values() if ids} >= {
        cross_class == "report"
    } - {False}
    assert all(len(ids) == 3 for ids in kept(town).values())
    if cross_class == "drop":
        assert not set(first) & {image_id for ids in kept(town).values() for image_id in ids}


# --- fallback


def local_copy(town: Town, ids: dict[str, str]) -> Full:
    for image_id, token in ids.items():
        folder = town.folder / "local" / image_id.partition("_")[0]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{image_id}.JPEG").write_bytes(pictures.encoded(token, "PNG"))
    return Full(str(town.folder / "local"))


def test_the_fallback_fills_what_the_source_could_not(town: Town) -> None:
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
def test_a_fallback_out_of_reach_is_tried_again(town: Town, processes: int, caplog: pytest.LogCaptureFixture) -> None:
    """Its outage settles nothing: the same command fills up once it is there, and asks the source for nothing."""
    for image_id in [image_id for image_id in town.fates if image_id.startswith(WNIDS[2])]:
        town.put(image_id, "gone")
    fallback = Full(str(town.folder / "local"))
    first = run(town, 4, fallback=fallback, processes=processes)
    assert first.short == (WNIDS[2],)
    assert "its classes stay incomplete: the same command continues from here" in caplog.text
    local_copy(town, {f"{WNIDS[2]}_{number}": f"local {number}" for number in range(1000, 1012)})
    town.server.clear()
    assert run(town, 4, fallback=fallback, processes=processes).sources == {"urls": 8, "full": 4}
    assert town.server.counts() == Counter()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_source_out_of_reach_is_tried_again_where_the_fallback_did_not_do(town: Town, processes: int) -> None:
    fallback = local_copy(town, {f"{wnid}_{number}": f"local {wnid} {number}" for wnid in WNIDS for number in (1, 2)})
    away = Urls(town.server.url("/list.txt"))
    first = run(town, 4, source=away, fallback=fallback, processes=processes)
    assert first.sources == {"full": 2 * len(WNIDS)}
    assert set(first.short) == set(WNIDS)
    town.server.put("/list.txt", answer((town.folder / "urls.txt").read_bytes()))
    again = run(town, 4, source=Urls(town.server.url("/list.txt")), fallback=fallback, processes=processes)
    assert again.short == ()
    assert kept(town) == town.first_good(4)


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("with_fallback", [False, True])
def test_all_that_a_list_names_may_be_of_one_class(town: Town, processes: int, with_fallback: bool) -> None:
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


def test_a_fallback_with_the_same_image_ids_takes_nothing_away(town: Town) -> None:
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


# --- asking again


def test_what_failed_for_now_is_asked_again_by_key(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    """All candidates are wanted, so that none is asked ahead of need: what is asked does not depend on time."""
    wanted = town.per_class
    for image_id in town.fates:
        town.put(image_id, "gone")
    busy, gone = sorted(town.fates)[:2]
    town.server.put(f"/{busy}.jpg", answer(b"", "503 Service Unavailable"))
    assert run(town, wanted).kept == 0
    advice = "1 rejections may be temporary (http_503 1): retry=transient tries them again"
    assert advice in caplog.text
    for image_id in (busy, gone):
        town.put(image_id, "good")
    town.server.clear()
    caplog.clear()
    run(town, wanted)
    assert town.server.counts() == Counter()
    assert advice in caplog.text, "nothing else would say how to go on"
    assert run(town, wanted, retry=Retry.transient).kept == 1
    assert town.asked() == Counter([f"/{busy}.jpg"])
    town.server.clear()
    caplog.clear()
    assert run(town, wanted, retry=Retry.failed).kept == 2
    assert "may be temporary" not in caplog.text
    assert town.asked() == Counter(f"/{image_id}.jpg" for image_id in town.fates if image_id != busy)


def test_a_dead_network_holds_nothing_against_anyone(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_table, "DEAD_HOST_FAILURES", 1)
    with hostile() as taken:
        port = taken.port
    text = (town.folder / "urls.txt").read_text()
    (town.folder / "urls.txt").write_text(text.replace(f":{town.server.port}/", f":{port}/"))
    with pytest.raises(SourceError, match="connected") as caught:
        run(town, 3)
    assert "\n" not in str(caught.value)
    rows = sqlite3.connect(town.folder / "set" / LEDGER)
    assert rows.execute("SELECT count(*) FROM attempts WHERE final").fetchone() == (0,)
    assert rows.execute("SELECT count(*) FROM attempts").fetchone()[0] > 0
    rows.close()


def test_a_retry_that_meets_a_dead_network_leaves_what_was_known(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_table, "DEAD_HOST_FAILURES", 1)
    monkeypatch.setattr(retry_policy, "MAX_PAUSE_S", 2.0)
    mute = min(town.fates)
    town.server.put(f"/{mute}.jpg", lambda asked: (asked.wait(30), None)[1])
    limits = {"first_byte_timeout": 0.5, "deadline": 1.0, "retries": 0}
    run(town, town.per_class, **limits)
    tables = [town.folder / "set" / name for name in ("classes.csv", "eval.txt", "manifest.csv")]
    before = [table.read_bytes() for table in tables]
    assert b"timeout" in before[0]
    town.server.go()
    with pytest.raises(SourceError, match="connected"):
        run(town, town.per_class, retry=Retry.transient, **limits)
    town.server.come_back()
    run(town, town.per_class, **limits)
    assert [table.read_bytes() for table in tables] == before


def test_the_web_comes_back(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every host hangs up on everyone; later the same run fills all."""
    pages = dict(town.server.pages)
    for path in (*pages, "/robots.txt"):
        town.server.put(path, lambda asked: (asked.wait(30), None)[1])
    monkeypatch.setattr(host_table, "DEAD_HOST_FAILURES", 1)
    with pytest.raises(SourceError):
        run(town, 3, first_byte_timeout=0.3, deadline=1.0, retries=0)
    town.server.pages.update(pages)
    assert run(town, 3).kept == 9
    assert kept(town) == town.first_good(3)


# --- disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that takes 60 files and no more; only root may mount one."""
    where = tmp_path / "disk"
    where.mkdir()
    mounted = (
        shutil.which("mount")
        and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=200m,nr_inodes=60", "tmpfs", str(where)],
            capture_output=True,
            check=False,
        ).returncode
        == 0
    )
    if not mounted:
        pytest.skip("mounting a small file system takes root")
    yield where
    subprocess.run(["umount", "-l", str(where)], check=True)


def test_a_disk_that_fills_up_in_the_middle(town: Town, small_disk: Path) -> None:
    ballast = [small_disk / f"ballast{number}" for number in range(38)]
    for path in ballast:
        path.touch()
    with pytest.raises(DatasetError, match=r"no space left|cannot be used") as caught:
        run(town, 8, folder="disk/set")
    assert "\n" not in str(caught.value)
    for path in ballast:
        path.unlink()
    town.server.clear()
    run(town, 8, folder="disk/set")
    assert kept(town, "disk/set") == town.first_good(8)


def test_a_disk_without_room_is_noticed_before_it_is_full(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage.DataSet, "__init__", _crowded(stage.DataSet.__init__))
    for path in list(town.server.pages):
        page = town.server.pages[path]
        town.server.put(path, lambda asked, page=page: (asked.wait(0.5), page(asked))[1])
    with pytest.raises(DatasetError, match="is full but for 64 MiB, and the last 64 MiB are for"):
        run(town, 8, concurrency=1)
    assert town.server.counts() == Counter()


def _crowded(original: object) -> object:
    def init(self: stage.DataSet, *folders: Path) -> None:
        original(self, *folders)  # type: ignore[operator]
        self.store.free_bytes = lambda: -1  # type: ignore[method-assign]

    return init


@pytest.mark.parametrize("fault", ["a file in the way", "no permission"])
def test_a_folder_that_turns_unwritable_in_the_middle_is_one_line(town: Town, fault: str) -> None:
    if fault == "no permission" and os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    slow(town, 0.05)
    images, done = town.folder / "set" / "images", []

    def watch(progress: Progress) -> None:
        if progress.images > 2 and not done:
            done.append(True)
            if fault == "no permission":
                for folder in (*images.iterdir(), images):
                    folder.chmod(0o500)
            else:
                images.rename(town.folder / "set" / "aside")
                while not images.is_file():
                    shutil.rmtree(images, ignore_errors=True)  # made anew for an image that came in between
                    with suppress(IsADirectoryError):
                        images.write_text("")

    with pytest.raises(DatasetError, match=r"cannot be written|a folder must be") as caught:
        run(town, 6, watch=watch, concurrency=2)
    assert "\n" not in str(caught.value)
    if fault == "no permission":
        for folder in (images, *images.iterdir()):
            folder.chmod(0o700)
    else:
        images.unlink()
        (town.folder / "set" / "aside").rename(images)
    run(town, 6)
    assert kept(town) == town.first_good(6)


def test_tables_that_cannot_be_written_are_one_line(town: Town) -> None:
    (town.folder / "set" / "manifest.csv").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"manifest\.csv"):
        run(town, 3)
    (town.folder / "set" / "manifest.csv").rmdir()
    town.server.clear()
    run(town, 3)
    assert town.server.counts() == Counter()
    assert kept(town) == town.first_good(3)


def test_a_kill_while_a_larger_set_is_settled_leaves_no_mixture(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """The smaller set is asked for next: it must not pass for done, one class being settled for the larger."""
    run(town, 3)
    finalize_class = TableWriter._finalize_class
    finalized: list[str] = []

    def dies(self: TableWriter, *about_a_class: object) -> list[str]:
        if finalized:
            raise KeyboardInterrupt
        finalized.append("one")
        return finalize_class(self, *about_a_class)  # type: ignore[arg-type]

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):  # noqa: PT012
        patched.setattr(TableWriter, "_finalize_class", dies)
        run(town, 5)
    run(town, 3)
    assert kept(town) == town.first_good(3)


# --- the process: signals, exit codes


def command(town: Town, folder: str, *more: str, nk: int = 6) -> list[str]:
    return [
        sys.executable, str(ROOT / "src" / "imagenet.py"), "source=urls", f"source.list={town.folder / 'urls.txt'}",
        "source@fallback=none", f"classes.wnids=[{','.join(WNIDS)}]", f"nk={nk}",
        "stages=[collect,lists]", "http.allow_private=true", "http.deadline=5", f"dataset.dir={town.folder / folder}",
        f"hydra.run.dir={town.folder / 'out'}", *more,
    ]  # fmt: skip


def spawn(town: Town, folder: str, *more: str, nk: int = 6) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(town, folder, *more, nk=nk), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def slow(town: Town, seconds: float) -> None:
    for path, page in list(town.server.pages.items()):
        town.server.put(path, lambda asked, page=page: page(asked) if asked.wait(seconds) else None)


def wait_for(town: Town, requests: int) -> None:
    while sum(town.server.counts().values()) < requests:
        time.sleep(0.005)


def test_killed_at_any_moment_the_same_command_goes_on_to_the_same_end(town: Town) -> None:
    slow(town, 0.05)
    for moment in (1, 9, 20):
        child = spawn(town, "set", "http.concurrency=4")
        before = sum(town.server.counts().values())
        wait_for(town, before + moment)
        child.send_signal(signal.SIGKILL)
        child.communicate()
    run(town, 6)
    run(town, 6, folder="undisturbed")
    assert kept(town) == town.first_good(6)
    names = [town.folder / folder / "eval.txt" for folder in ("set", "undisturbed")]
    assert names[0].read_bytes() == names[1].read_bytes()


def test_no_good_image_is_fetched_twice_but_for_those_in_flight(town: Town) -> None:
    slow(town, 0.05)
    child = spawn(town, "set", "http.concurrency=4")
    wait_for(town, 25)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    run(town, 6)
    assert not settled_twice(town)
    twice = {path for path, count in town.asked().items() if count > 1}
    assert len(twice) <= 4 + 12  # in flight, and those that ended within the ledger's commit interval of 0.1 s
    assert kept(town) == town.first_good(6)


def test_few_open_files_are_enough(town: Town) -> None:
    """Whatever http.concurrency says: a socket that cannot be opened would read as a host that refuses."""
    slow(town, 0.2)
    limited = ["bash", "-c", 'ulimit -n 44; exec "$@"', "-", *command(town, "set", "http.per_host=512")]
    subprocess.run(limited, capture_output=True, check=True)
    assert kept(town) == town.first_good(6)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_says_so_in_one_line_and_goes_on(town: Town, sent: signal.Signals) -> None:
    slow(town, 0.05)
    for moment in (2, 12):
        child = spawn(town, "set", "http.concurrency=4", nk=12)
        wait_for(town, sum(town.server.counts().values()) + moment)
        child.send_signal(sent)
        _, errors = child.communicate(timeout=5)
        assert child.returncode == 128 + sent
        assert "Traceback" not in errors
        assert errors.strip().splitlines()[-1].startswith("stopped")
    run(town, 6)
    assert kept(town) == town.first_good(6)


def test_line_breaks_in_names_break_no_line_and_name_no_file(town: Town) -> None:
    """In an address, where a redirect leads, and in what a server calls the file."""
    wnid, server = WNIDS[0], town.server
    body = [
        answer(pictures.jpeg(n), "200 OK", 'Content-Disposition: attachment; filename="a\r\n b/../c.png"')
        for n in range(4)
    ]
    for path, data in zip(("/a%0Ab.jpg", "/c%E2%80%A8d%C2%85.jpg", "/e%0D%0Af.jpg", "/g%0Bh.jpg"), body, strict=True):
        server.put(path, data)
    server.put("/to.jpg", redirect("/e%0D%0Af.jpg"))
    server.put("/split.jpg", redirect("/g\x0bh.jpg"))
    paths = ["/a%0Ab.jpg", "/c\u2028d\x85.jpg", "/to.jpg", "/split.jpg"]
    town.fates = {f"{wnid}_{number}": "good" for number in range(4)}
    lines = [f"{image_id}\t{server.url(path)}\r\n" for image_id, path in zip(town.fates, paths, strict=True)]
    (town.folder / "urls.txt").write_bytes("".join(lines).encode())
    run(town, None)
    assert set(kept(town)[wnid]) == set(town.first_good(4)[wnid])
    manifest = pd.read_csv(town.folder / "set" / "manifest.csv")
    assert sorted(manifest["image_id"]) == sorted(town.fates)
    assert len((town.folder / "set" / "manifest.csv").read_bytes().splitlines()) == 1 + 4


def test_exit_codes_say_whether_it_is_complete(town: Town) -> None:
    for more, code in (((), 3), (("require_complete=false",), 0)):
        child = spawn(town, "set", *more, nk=1000)
        child.communicate()
        assert child.returncode == code
    child = spawn(town, "set", "seed=1", nk=2)
    _, errors = child.communicate()
    assert child.returncode == 1
    assert "Traceback" not in errors
    assert "seed=0" in errors


@pytest.mark.parametrize("allowed", [True, False])
def test_the_key_is_named_only_for_what_it_helps_with(
    town: Town, caplog: pytest.LogCaptureFixture, allowed: bool
) -> None:
    fates = ["http://169.254.169.254/", "http://127.0.0.1:9/x", "ftp://a.test/x", "http://a:b@127.0.0.1/x"]
    for image_id, target in zip(list(town.fates), fates, strict=False):
        town.server.put(f"/{image_id}.jpg", redirect(target))
    town.fates = dict(list(town.fates.items())[: len(fates)])
    town.write_list()
    with caplog.at_level("WARNING"):
        run(town, None, allow_private=allowed)
    said = [line for line in caplog.messages if "URLs lead" in line]
    if allowed:
        assert said == [
            "4 URLs lead to forbidden places: another port 1, another scheme 1, credentials 1, metadata service 1"
        ]
    else:
        assert said == ["4 URLs lead to private networks; http.allow_private=true allows them"]


def test_what_is_left_behind(town: Town) -> None:
    run(town, 2)
    left = {path.name for path in (town.folder / "set").iterdir()}
    assert {
        "images",
        "eval.txt",
        "classes.csv",
        "manifest.parquet",
        "manifest.csv",
        "ledger.sqlite",
        "TERMS.txt",
    } <= left
    assert not list((town.folder / "set").rglob("*.part"))
    with sqlite3.connect(town.folder / "set" / LEDGER) as db:
        assert json.loads(dict(db.execute("SELECT name, value FROM meta"))["draw"])["seed"] == 0
    db.close()
    assert os.access(town.folder / "set" / "TERMS.txt", os.R_OK)
