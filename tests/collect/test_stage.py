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
from pathlib import Path

import pandas as pd
import pytest

from collect import pictures
from collect.hostile import answer, hostile, redirect
from collect.town import WNIDS, Town, kept, run, settled_twice, slow
from imagenet_nk.collect import stage
from imagenet_nk.collect.progress import Progress
from imagenet_nk.config import CrossClassDuplicates, Retry
from imagenet_nk.dataset.folder_layout import LEDGER
from imagenet_nk.dataset.table_writer import TableWriter
from imagenet_nk.errors import DatasetError, SourceError
from imagenet_nk.net import host_table, retry_policy
from imagenet_nk.sampling.draw_order import draw
from program import SCRIPT, Program

# --- exact, a prefix, nothing twice


def test_second_run_makes_no_request_and_changes_nothing(town: Town) -> None:
    run(town, 5)
    before = {path: path.read_bytes() for path in (town.folder / "set").rglob("*.txt")}
    town.server.clear()
    assert run(town, 5).kept == 15
    assert town.server.counts() == Counter()
    assert {path: path.read_bytes() for path in before} == before


def test_class_with_too_few_images_is_reported_as_short(town: Town) -> None:
    good = {wnid: len(ids) for wnid, ids in town.first_good(10**6).items()}
    summary = run(town, max(good.values()))
    assert kept(town) == town.first_good(10**6)
    assert set(summary.short) == {wnid for wnid, count in good.items() if count < max(good.values())}
    run(town, None, folder="all")
    assert kept(town, "all") == kept(town)


@pytest.mark.parametrize("processes", [1, 2])
def test_missing_or_damaged_file_is_fetched_again(town: Town, processes: int, caplog: pytest.LogCaptureFixture) -> None:
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


def test_wall_clock_jumps_have_no_effect(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    jumps = random.Random(0)
    monkeypatch.setattr(time, "time", lambda: jumps.uniform(0, 4e9))
    run(town, 5)
    assert kept(town) == town.first_good(5)


# --- whose folder it is


# --- placeholders and pictures in two classes


def test_placeholder_with_unknown_url_is_replaced(town: Town) -> None:
    """Its bytes come from many addresses, from each one with a redirect and status 200."""
    for image_id in [image_id for image_id, fate in town.fates.items() if fate == "grey"]:
        town.put(image_id, "sly")
    run(town, 8, concurrency=4)
    assert "sly" in {town.fates[f"{path[1:-4]}"] for path in town.asked()}
    assert kept(town) == town.first_good(8)
    table = pd.read_csv(town.folder / "set" / "classes.csv")
    assert table["placeholder"].sum() >= 3
    assert "nothing" not in (town.folder / "set" / "manifest.csv").read_text()


def test_placeholder_found_by_a_later_run_is_replaced_in_every_class(town: Town) -> None:
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
def test_image_in_two_classes_is_reported_or_dropped(town: Town, cross_class: str) -> None:
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


# --- asking again


def test_retry_key_decides_which_failures_are_tried_again(town: Town, caplog: pytest.LogCaptureFixture) -> None:
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


def test_offline_machine_settles_no_candidate(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_retry_on_an_offline_machine_keeps_earlier_results(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_run_after_an_outage_fills_all_classes(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_full_disk_is_one_line_and_the_next_run_continues(town: Town, small_disk: Path) -> None:
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


def test_nearly_full_disk_stops_the_run_before_a_request(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_folder_that_becomes_unwritable_is_one_line(town: Town, fault: str) -> None:
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


def test_unwritable_table_is_one_line(town: Town) -> None:
    (town.folder / "set" / "manifest.csv").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"manifest\.csv"):
        run(town, 3)
    (town.folder / "set" / "manifest.csv").rmdir()
    town.server.clear()
    run(town, 3)
    assert town.server.counts() == Counter()
    assert kept(town) == town.first_good(3)


def test_kill_while_verdicts_are_written_leaves_no_mixture(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
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
        "source=urls", f"source.list={town.folder / 'urls.txt'}",
        "source@fallback=none", f"classes.wnids=[{','.join(WNIDS)}]", f"nk={nk}",
        "stages=[collect,lists]", "http.allow_private=true", "http.deadline=5", f"dataset.dir={town.folder / folder}",
        f"hydra.run.dir={town.folder / 'out'}", *more,
    ]  # fmt: skip


def spawn(town: Town, folder: str, *more: str, nk: int = 6) -> Program:
    return Program(*command(town, folder, *more, nk=nk))


def wait_for(town: Town, requests: int) -> None:
    until = time.monotonic() + 60
    while sum(town.server.counts().values()) < requests:
        assert time.monotonic() < until, "the run asks nothing"
        time.sleep(0.005)


def test_run_killed_at_any_moment_continues_to_the_same_result(town: Town) -> None:
    slow(town, 0.05)
    for moment in (1, 9, 20):
        child = spawn(town, "set", "http.concurrency=4")
        before = sum(town.server.counts().values())
        wait_for(town, before + moment)
        child.send_signal(signal.SIGKILL)
        child.communicate()
    run(town, 6)
    assert not settled_twice(town)
    repeated = sum(count - 1 for count in town.asked().values())
    assert repeated <= 3 * (4 + 12)  # each kill: what is in flight, and the ledger's commit interval of 0.1 s
    run(town, 6, folder="undisturbed")
    assert kept(town) == town.first_good(6)
    names = [town.folder / folder / "eval.txt" for folder in ("set", "undisturbed")]
    assert names[0].read_bytes() == names[1].read_bytes()


def test_low_limit_of_open_files_is_enough(town: Town) -> None:
    """Whatever http.concurrency says: a socket that cannot be opened would read as a host that refuses."""
    slow(town, 0.2)
    limited = [
        "bash",
        "-c",
        'ulimit -n 44; exec "$@"',
        "-",
        sys.executable,
        str(SCRIPT),
        *command(town, "set", "http.per_host=512"),
    ]
    subprocess.run(limited, capture_output=True, check=True)
    assert kept(town) == town.first_good(6)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_stopped_run_says_so_in_one_line_and_continues(town: Town, sent: signal.Signals) -> None:
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


def test_line_breaks_in_urls_break_no_table_and_name_no_file(town: Town) -> None:
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


def test_exit_code_tells_whether_the_set_is_complete(town: Town) -> None:
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
def test_allow_private_is_suggested_only_for_private_addresses(
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


def test_folder_holds_the_documented_files(town: Town) -> None:
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
