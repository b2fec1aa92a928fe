"""The remote sources as the stage `collect` runs them: its transport, limits, inspection, ledger and tables."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import program
from imagenet_nk.classes import loading
from imagenet_nk.collect.job import Job
from imagenet_nk.collect.stage import collect
from imagenet_nk.config import ClassesConfig, HttpConfig, InspectConfig, LabelsConfig, Retry
from imagenet_nk.engine.local import Local
from imagenet_nk.errors import SourceError
from imagenet_nk.sampling.draw_order import EvalOnly, RandomOrder
from imagenet_nk.sampling.listed_order import ListedOrder
from imagenet_nk.sources.archive.source import Archive
from imagenet_nk.sources.contract import Source
from imagenet_nk.sources.manifest.source import Manifest
from imagenet_nk.sources.none import NoSource
from imagenet_nk.sources.urls.source import Urls
from sources.tars import devkit, jpeg, members, tar, train
from sources.web import Answer, Asked, Web, ranged, web

ROOT = Path(__file__).resolve().parents[2]
TEDDY = "n04399382"  # of the 1000 classes the one that no list of fall11 has
WNIDS = ["n01440764", "n02119789", TEDDY]


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as site:
        yield site


def job(
    folder: Path,
    source: Source,
    fallback: Source | None = None,
    *,
    nk: int | None = 4,
    seed: int = 0,
    wnids: Sequence[str] = WNIDS,
) -> Job:
    label_map = loading.load(
        ClassesConfig(table="imagenet-1k", wnids=list(wnids)), LabelsConfig(order="sorted"), lambda url: Path(url)
    )
    http = HttpConfig(allow_private=True, retries=0)
    return Job(
        source,
        fallback or NoSource(),
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


def test_list_of_other_classes_leaves_all_to_the_fallback(tmp_path: Path, server: Web) -> None:
    (tmp_path / "list.txt").write_text(f"{WNIDS[0]}_1\thttp://127.0.0.1/1.jpg\n")
    archive = Archive(train=server.put("/train.tar", train({TEDDY: members(TEDDY, 12)})))
    made = collect(job(tmp_path / "set", Urls([str(tmp_path / "list.txt")]), archive, wnids=[TEDDY]))
    assert (made.kept, made.short, dict(made.sources)) == (4, (), {"archive": 4})


def test_rewritten_class_tars_are_read_again(tmp_path: Path, server: Web) -> None:
    files = {wnid: members(wnid, 20) for wnid in WNIDS}
    etag = '"one"'
    tars = {f"/{wnid}.tar": tar(images) for wnid, images in files.items()}
    for path in tars:
        server.put(path, lambda asked, _: ranged(tars[asked.path], asked, etag))
    source = Archive(synset=server.base + "/{wnid}.tar")
    collect(job(tmp_path / "set", source, nk=3))
    etag = '"two"'
    collect(job(tmp_path / "set", source, nk=6))
    collect(job(tmp_path / "fresh", source, nk=6))
    assert_frame_equal(kept(tmp_path / "set")[["path", "sha256"]], kept(tmp_path / "fresh")[["path", "sha256"]])


@pytest.mark.parametrize("where", ["here", "there"])
@pytest.mark.parametrize("nk", [None, 25])
def test_class_with_a_truncated_tar_is_incomplete(
    tmp_path: Path, server: Web, caplog: pytest.LogCaptureFixture, where: str, nk: int | None
) -> None:
    whole, cut = tar(members(WNIDS[0], 20)), tar(members(WNIDS[1], 20))
    for wnid, data in ((WNIDS[0], whole), (WNIDS[1], cut[: len(cut) // 2])):
        server.put(f"/{wnid}.tar", data)
        (tmp_path / f"{wnid}.tar").write_bytes(data)
    base = str(tmp_path) if where == "here" else server.base
    fallback = Archive(synset=f"{tmp_path}/more/{{wnid}}.tar")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / f"{WNIDS[1]}.tar").write_bytes(cut)
    alone = collect(job(tmp_path / "alone", Archive(synset=base + "/{wnid}.tar"), nk=nk, wnids=WNIDS[:2]))
    assert alone.short == (tuple(WNIDS[:2]) if nk else (WNIDS[1],))
    assert alone.reasons["unlisted"] == 1
    assert f"the tar of {WNIDS[1]} is cut short" in caplog.text
    both = collect(job(tmp_path / "both", Archive(synset=base + "/{wnid}.tar"), fallback, nk=nk, wnids=WNIDS[1:2]))
    assert both.kept == 20


def test_class_in_no_list_is_filled_by_the_archive(tmp_path: Path, server: Web) -> None:
    """As a user has it done, from the command line to the tables."""
    lines = []
    for wnid in WNIDS[:2]:
        for name, data in members(wnid, 6):
            lines.append(f"{name.removesuffix('.JPEG')}\t{server.put(f'/{name}', data)}\n")
    (tmp_path / "list.txt").write_text("".join(lines))
    archive = server.put("/train.tar", train({wnid: members(wnid, 12) for wnid in WNIDS}))
    ended = program.run(
        *("nk=4", "stages=[collect,lists]", "dataset.dir=set"),
        *("source=urls", "source.list=list.txt", "source@fallback=archive", f"fallback.train={archive}"),
        *(f"classes.wnids=[{','.join(WNIDS)}]", "inspect.min_side=8", "http.allow_private=true"),
        cwd=tmp_path,
    )
    assert ended.returncode == 0, ended.stderr
    rows = kept(tmp_path / "set")
    assert rows.groupby(["wnid", "source"]).size().to_dict() == {
        (WNIDS[0], "urls"): 4, (WNIDS[1], "urls"): 4, (TEDDY, "archive"): 4
    }  # fmt: skip
    entries = (tmp_path / "set" / "eval.txt").read_text().splitlines()
    assert [entry.rpartition(" ")[2] for entry in entries if TEDDY in entry] == ["850"] * 4, "its index in sorted order"
    assert "by source: urls 8, archive 4" in ended.stderr


@pytest.mark.parametrize("form", ["train", "synset", "local"])
def test_every_form_of_an_archive_gives_the_same_images(tmp_path: Path, server: Web, form: str) -> None:
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


def test_nk_null_takes_all_members_and_a_second_run_makes_no_request(tmp_path: Path, server: Web) -> None:
    files = {wnid: members(wnid, 12) for wnid in WNIDS}
    source = Archive(train=server.put("/train.tar", train(files)))
    summary = collect(job(tmp_path / "set", source, nk=None))
    assert summary.kept == 36
    server.asked.clear()
    collect(job(tmp_path / "set", source, nk=None))
    assert not server.asked


@pytest.mark.parametrize("form", ["train", "synset", "local", "val"])
def test_manifest_of_an_archive_gives_the_same_files_again(tmp_path: Path, server: Web, form: str) -> None:
    files = {wnid: members(wnid, 12) for wnid in WNIDS}
    source = Archive(train=server.put("/train.tar", train(files)))
    if form == "synset":
        for wnid in WNIDS:
            server.put(f"/{wnid}.tar", tar(files[wnid]))
        source = Archive(synset=server.base + "/{wnid}.tar")
    elif form == "local":
        (tmp_path / "train #1.tar").write_bytes(train(files))
        source = Archive(train=str(tmp_path / "train #1.tar"))
    elif form == "val":
        ids = [classes_in_devkit_order().index(wnid) + 1 for wnid in WNIDS]
        images = tar((f"ILSVRC2012_val_{i:08d}.JPEG", jpeg(i)) for i in range(1, 31))
        kit = devkit([ids[i % 3] for i in range(30)])
        source = Archive(val=server.put("/val.tar", images), devkit=server.put("/kit.tar.gz", kit))
    collect(job(tmp_path / "first", source))
    again = Manifest(str(tmp_path / "first" / "manifest.parquet"))
    summary = collect(job(tmp_path / "again", again, nk=None, seed=5))
    assert (summary.kept, summary.short, summary.missing) == (12, (), ())
    first, second = kept(tmp_path / "first"), kept(tmp_path / "again")
    assert list(first.index) == list(second.index)
    assert list(first.sha256) == list(second.sha256)


def classes_in_devkit_order() -> list[str]:
    return resources.files("imagenet_nk.classes").joinpath("clsloc.txt").read_text(encoding="ascii").split()


class TestLosses:
    """A manifest, or a list, says which images are wanted: what is lost is short, and said by name."""

    @pytest.fixture
    def manifest(self, tmp_path: Path, server: Web) -> Path:
        lines = []
        for wnid in WNIDS:
            for name, data in members(wnid, 6):
                lines.append(f"{name.removesuffix('.JPEG')}\t{server.put(f'/{name}', data)}\n")
        (tmp_path / "list.txt").write_text("".join(lines))
        collect(job(tmp_path / "first", Urls(str(tmp_path / "list.txt"))))
        return tmp_path / "first" / "manifest.csv"

    def test_intact_manifest_is_collected_completely(self, tmp_path: Path, manifest: Path) -> None:
        summary = collect(job(tmp_path / "set", Manifest(str(manifest)), nk=None))
        assert (summary.kept, summary.short, summary.missing) == (12, (), ())
        assert not (tmp_path / "set" / "missing.csv").exists()

    def test_dead_and_drifted_images_are_reported_missing(
        self, tmp_path: Path, server: Web, manifest: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        dead, drifted = pd.read_csv(manifest)["image_id"][[1, 5]]
        del server.pages[f"/{dead}.JPEG"]
        server.put(f"/{drifted}.JPEG", jpeg(123, 40))
        for _ in range(2):  # and again, where it has nothing to do
            caplog.clear()
            summary = collect(job(tmp_path / "set", Manifest(str(manifest)), nk=None))
            assert (summary.kept, summary.short, summary.missing) == (10, (WNIDS[0], WNIDS[1]), (dead, drifted))
            table = pd.read_csv(tmp_path / "set" / "classes.csv")
            assert list(table.wanted) == [4, 4, 4]
            assert list(table.kept) == [3, 3, 4]
            missing = pd.read_csv(tmp_path / "set" / "missing.csv")
            assert list(missing.image_id) == [dead, drifted]
            assert list(missing.reason) == ["http_404", "drifted"]
        summary = collect(job(tmp_path / "fresh", Manifest(str(manifest), replace=True), nk=None))
        assert (summary.kept, summary.missing) == (11, (dead,))
        assert f"1 named images could not be fetched (see missing.csv): {dead}" in caplog.text

    def test_fallback_replaces_missing_images(self, tmp_path: Path, server: Web, manifest: Path) -> None:
        dead = pd.read_csv(manifest)["image_id"][1]
        del server.pages[f"/{dead}.JPEG"]
        archive = Archive(train=server.put("/train.tar", train({wnid: members(wnid, 12) for wnid in WNIDS})))
        summary = collect(job(tmp_path / "set", Manifest(str(manifest)), archive, nk=None))
        assert (summary.kept, summary.short, summary.missing) == (12, (), (dead,))
        assert summary.sources == {"manifest": 11, "archive": 1}

    @pytest.mark.parametrize("processes", [1, 2])
    @pytest.mark.parametrize("same", [True, False])
    def test_only_equal_bytes_replace_a_listed_image(
        self, tmp_path: Path, server: Web, manifest: Path, same: bool, processes: int
    ) -> None:
        """The fallback may well have a picture of that name which is another one."""
        dead, drifted = pd.read_csv(manifest)["image_id"][[1, 5]]
        before = {image_id: server.pages[f"/{image_id}.JPEG"] for image_id in (dead, drifted)}
        del server.pages[f"/{dead}.JPEG"]
        server.put(f"/{drifted}.JPEG", jpeg(123, 40))
        names = {dead: WNIDS[0], drifted: WNIDS[1]}
        files = {wnid: members(wnid, 12) for wnid in WNIDS}
        for number, (image_id, wnid) in enumerate(names.items()):
            data = before[image_id] if same else jpeg(500 + number, 40)
            files[wnid] = [(f"{image_id}.JPEG", data)]
        archive = Archive(train=server.put("/train.tar", train(files)))
        one = replace(job(tmp_path / "set", Manifest(str(manifest)), archive, nk=None), engine=Local(processes))
        for _ in range(2):  # and again, where it has nothing to do
            summary = collect(one)
            assert (summary.kept, summary.short) == (12, ())
            assert summary.missing == (() if same else (dead, drifted))
        if not same:
            missing = pd.read_csv(tmp_path / "set" / "missing.csv")
            assert list(missing.reason) == ["http_404", "drifted"]
            assert all("the fallback gave another image of this name" in detail for detail in missing.detail)

    def test_missing_listed_image_is_reported(self, tmp_path: Path, server: Web, manifest: Path) -> None:
        ids = list(pd.read_csv(manifest)["image_id"])
        (tmp_path / "ids.txt").write_text("\n".join(ids))
        del server.pages[f"/{ids[2]}.JPEG"]
        one = job(tmp_path / "set", Urls(str(tmp_path / "list.txt")), nk=None)
        summary = collect(replace(one, sampling=ListedOrder(0, str(tmp_path / "ids.txt"))))
        assert (summary.kept, summary.short, summary.missing) == (11, (WNIDS[0],), (ids[2],))


OUTAGES = {
    "login page": lambda asked, answer: Answer(200, b"<html>sign in</html>", {"Content-Type": "text/html"}),
    "whole file": lambda asked, answer: Answer(200, b"x" * 9999),
    "another range": lambda asked, answer: Answer(206, answer.body, {"Content-Range": "bytes 0-9/10"}),
    "another version": lambda asked, answer: Answer(206, answer.body, {**answer.headers, "ETag": '"two"'}),
    "403": lambda asked, answer: Answer(403),
    "404": lambda asked, answer: Answer(404),
    "503": lambda asked, answer: Answer(503),
}


@pytest.mark.parametrize("form", ["train", "synset"])
@pytest.mark.parametrize("outage", OUTAGES)
def test_outage_of_an_archive_rejects_no_draw(tmp_path: Path, server: Web, outage: str, form: str) -> None:
    files = {wnid: members(wnid, 30) for wnid in WNIDS}
    served = 0
    lies: range

    def page(data: bytes) -> Callable[[Asked, dict[str, str]], Answer]:
        def answer(asked: Asked, _: dict[str, str]) -> Answer:
            nonlocal served
            served += 1
            honest = ranged(data, asked)
            return OUTAGES[outage](asked, honest) if served in lies else honest

        return answer

    if form == "train":
        source = Archive(train=server.put("/train.tar", page(train(files))))
    else:
        for wnid in WNIDS:
            server.put(f"/{wnid}.tar", page(tar(files[wnid])))
        source = Archive(synset=server.base + "/{wnid}.tar")
    lies = range(0)
    collect(job(tmp_path / "undisturbed", source))
    wanted = list(kept(tmp_path / "undisturbed").index)

    served, lies = 0, range(12, 15)
    collect(job(tmp_path / "short", source))
    assert list(kept(tmp_path / "short").index) == wanted, "an outage that passes is bridged"

    served, lies = 0, range(12, 10_000)
    with pytest.raises(SourceError, match="no image is marked as failed") as error:
        collect(job(tmp_path / "long", source))
    assert "\n" not in str(error.value)
    lies = range(0)
    collect(job(tmp_path / "long", source))
    assert list(kept(tmp_path / "long").index) == wanted
    reasons = set(pd.read_csv(tmp_path / "long" / "classes.csv").columns) - {"words", "gloss"}
    assert reasons <= {"label", "wnid", "name", "wanted", "kept", "tried", "redrawn"}


@pytest.mark.parametrize(
    ("form", "shift", "count"),
    [("train", -512, 1), ("train", -512, 10_000), ("train", 512, 10_000), ("synset", 512, 10_000)],
)
def test_inconsistent_server_rejects_no_image(
    tmp_path: Path, server: Web, caplog: pytest.LogCaptureFixture, form: str, shift: int, count: int
) -> None:
    """Bytes of the file, but those 512 before or behind: where such answers are noticed, an honest run is whole again.

    They fit each other, so that draws are settled by them, and an index is kept, before one contradicts the rest.
    """
    files = {wnid: members(wnid, 12) for wnid in WNIDS[:2]}
    served, lies = 0, range(0)

    def page(data: bytes) -> Callable[[Asked, dict[str, str]], Answer]:
        def answer(asked: Asked, _: dict[str, str]) -> Answer:
            nonlocal served
            served += 1
            honest = ranged(data, asked)
            if served not in lies:
                return honest
            padded = bytes(512) + data + bytes(512)
            first = 512 + shift + (asked.first or 0)
            return Answer(206, padded[first : first + len(honest.body)], honest.headers)

        return answer

    if form == "train":
        source = Archive(train=server.put("/train.tar", page(train(files))))
    else:
        for wnid, images in files.items():
            server.put(f"/{wnid}.tar", page(tar(images)))
        source = Archive(synset=server.base + "/{wnid}.tar")

    def run(folder: str) -> pd.DataFrame:
        nonlocal served
        served = 0
        collect(job(tmp_path / folder, source, nk=6, wnids=WNIDS[:2]))
        return kept(tmp_path / folder)[["wnid", "path", "final_url", "sha256"]]

    undisturbed, asked = run("undisturbed"), served
    noticed = 0
    # Every fifth request, then the others until a lie is noticed: which one contradicts the rest hangs on their order.
    for first in sorted(range(3, asked + 1), key=lambda number: ((number - 3) % 5, number)):
        if noticed and (first - 3) % 5:
            break
        lies = range(first, first + count)
        caplog.clear()
        with contextlib.suppress(SourceError):
            run(f"{first}")
        lies = range(0)
        if "no image is marked as failed" in caplog.text:
            noticed += 1
            assert_frame_equal(run(f"{first}"), undisturbed, obj=f"after lies from request {first} on")
    assert noticed


def test_server_that_dies_during_the_run_ends_it(tmp_path: Path) -> None:
    files = {wnid: members(wnid, 30) for wnid in WNIDS}
    with web() as site:
        source = Archive(train=site.put("/train.tar", train(files)))
        collect(job(tmp_path / "undisturbed", source))
        port = int(site.base.rpartition(":")[2])
        honest, answered = site.answer, 0

        def dying(asked: Asked, headers: dict[str, str]) -> Answer:
            nonlocal answered
            answered += 1
            return Answer(206, b"", {}, length=10) if answered > 12 else honest(asked, headers)

        site.answer = dying  # type: ignore[method-assign]
        with pytest.raises(SourceError, match="no image is marked as failed"):
            collect(job(tmp_path / "set", source))
        site.answer = honest  # type: ignore[method-assign]
        assert port
        collect(job(tmp_path / "set", source))
        assert list(kept(tmp_path / "set").index) == list(kept(tmp_path / "undisturbed").index)


@pytest.mark.parametrize("classes_asked", [1, 2])
def test_requests_and_bytes_per_image_are_bounded(tmp_path: Path, server: Web, classes_asked: int) -> None:
    """At most 2 requests and 2.5 times the bytes an image, over some draws: nothing is read ahead of need."""
    asked = images = sent = held = 0
    for seed in range(6):
        files = {wnid: members(wnid, 60, side=40 + 4 * i) for i, wnid in enumerate(WNIDS[:classes_asked])}
        files = {
            w: [(name, data + bytes(random.Random(name).randrange(9000))) for name, data in f] for w, f in files.items()
        }
        server.asked.clear()
        source = Archive(train=server.put("/train.tar", train(files)))
        collect(job(tmp_path / str(seed), source, nk=10, seed=seed, wnids=WNIDS[:classes_asked]))
        rows = kept(tmp_path / str(seed))
        assert len(rows) == 10 * classes_asked
        gets = [one for one in server.asked if one.method == "GET"]
        asked, sent = asked + len(gets), sent + sum(one.sent for one in gets)
        images, held = images + len(rows), held + int(rows["bytes"].sum())
    assert asked <= 2 * images
    assert sent <= 2.5 * held


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


def test_host_of_copies_has_its_own_rate_limit(tmp_path: Path, server: Web) -> None:
    """As of the Wayback Machine: the addresses are all dead, another host has copies and may be asked 20 a second."""
    files = members(WNIDS[0], 8)
    when: list[float] = []

    def copy(data: bytes) -> Callable[[Asked, dict[str, str]], Answer]:
        return lambda *_: (when.append(time.monotonic()), Answer(200, data))[1]

    lines = []
    for name, data in files:
        url = f"{server.base}/{name}"
        server.put(f"/web/2011id_/{url}", copy(data))
        lines.append(f"{name.removesuffix('.JPEG')}\t{url}\n")
    (tmp_path / "list.txt").write_text("".join(lines))
    copies = server.base.replace("127.0.0.1", "localhost")
    task = job(tmp_path / "set", Urls(str(tmp_path / "list.txt")), nk=8, wnids=WNIDS[:1])
    attempts = ["{url}", copies + "/web/2011id_/{url}"]
    collect(replace(task, http=replace(task.http, url_templates=attempts, host_rates={"localhost": 20.0})))
    rows = kept(tmp_path / "set")
    assert sorted(rows.index) == sorted(name.removesuffix(".JPEG") for name, _ in files)
    assert set(rows.url.str.partition("://")[2].str.partition("/")[0]) == {server.base.partition("://")[2]}
    assert rows.final_url.str.startswith(copies).all()
    assert len(when) == 8
    assert when[-1] - when[0] > 0.8 * 7 / 20


def test_wayback_machine_is_limited_to_one_request_a_second() -> None:
    assert HttpConfig().host_rates["web.archive.org"] == 1.0
    assert not any("archive.org" in template for template in HttpConfig().url_templates), (
        "only for those who ask for it"
    )
