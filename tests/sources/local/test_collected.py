"""`source=full` as the stage `collect` runs it: what a class lacks is never passed over in silence."""

from __future__ import annotations

import gzip
import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import program
from imagenet_nk.collect.stage import collect
from imagenet_nk.config import Materialize
from imagenet_nk.dataset.summary import Summary
from imagenet_nk.engine.local import Local
from imagenet_nk.errors import SourceError
from imagenet_nk.lists import stage
from imagenet_nk.sampling.draw_order import EvalOnly
from imagenet_nk.sampling.listed_order import ListedOrder
from imagenet_nk.sources.archive.source import Archive
from imagenet_nk.sources.contract import Source
from imagenet_nk.sources.local.source import Full
from sources.tars import jpeg, members, tar, train
from sources.test_remote_collected import job

WNIDS = ["n01440764", "n01443537", "n01484850"]
FIRST, SECOND, THIRD = WNIDS
FILES = {wnid: members(wnid, 6) for wnid in WNIDS}
Make = Callable[[Path], Any]
MIDDLE = len(tar(FILES[SECOND])) // 4 // 512 * 512  # within the second class, among its images


def class_tars(root: Path) -> Path:
    root.mkdir()
    for wnid in WNIDS:
        (root / f"{wnid}.tar").write_bytes(tar(FILES[wnid]))
    return root


def class_folders(root: Path) -> Path:
    for wnid in WNIDS:
        (root / wnid).mkdir(parents=True)
        for name, data in FILES[wnid]:
            (root / wnid / name).write_bytes(data)
    return root


def cut(file: Path, size: int) -> Path:
    file.write_bytes(file.read_bytes()[:size])
    return file


def run(
    tmp_path: Path, source: Source, fallback: Source | None = None, nk: int | None = None, processes: int = 1
) -> Summary:
    one = job(tmp_path / "set", source, fallback, nk=nk, wnids=WNIDS)
    return collect(replace(one, engine=Local(processes)))


def classes(tmp_path: Path) -> pd.DataFrame:
    return pd.read_csv(tmp_path / "set" / "classes.csv").set_index("wnid")


def no_class_at_all(root: Path) -> str:
    for file in (class_folders(root) / SECOND).iterdir():
        file.unlink()
    (root / SECOND).rmdir()
    return str(root)


def an_empty_folder(root: Path) -> str:
    for file in (class_folders(root) / SECOND).iterdir():
        file.unlink()
    return str(root)


def a_tar_cut_in_its_first_image(root: Path) -> str:
    cut(class_tars(root) / f"{SECOND}.tar", 600)
    return str(root)


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("make", [no_class_at_all, an_empty_folder, a_tar_cut_in_its_first_image])
class TestAClassWithoutAnImage:
    def test_damaged_class_is_short_with_nk_null(self, make: Make, tmp_path: Path, processes: int) -> None:
        summary = run(tmp_path, Full(make(tmp_path / "root")), processes=processes)
        assert (summary.kept, summary.short) == (12, (SECOND,))
        table = classes(tmp_path)
        assert table.wanted.to_dict() == {FIRST: 6, SECOND: 1, THIRD: 6}
        assert table.kept.to_dict() == {FIRST: 6, SECOND: 0, THIRD: 6}

    def test_fallback_gives_all_of_the_damaged_class(
        self, make: Make, tmp_path: Path, processes: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "train.tar").write_bytes(train({wnid: members(wnid, 8) for wnid in WNIDS}))
        archive = Archive(train=str(tmp_path / "train.tar"))
        summary = run(tmp_path, Full(make(tmp_path / "root")), archive, processes=processes)
        assert summary.short == ()
        assert summary.sources == {"full": 12, "archive": 8}
        assert f"or not all, of 1 class: with nk=null fallback=archive adds all that it has ({SECOND})" in (caplog.text)
        assert classes(tmp_path).wanted.to_dict() == {FIRST: 6, SECOND: 8, THIRD: 6}


def one_class_tar(root: Path) -> tuple[Path, list[str]]:
    cut(class_tars(root) / f"{SECOND}.tar", MIDDLE)
    return root, [SECOND]


def a_tar_of_tars(root: Path) -> tuple[Path, list[str]]:
    """Cut in the second of three classes: nothing is known of what comes behind."""
    root.write_bytes(train(FILES))
    return cut(root, len(tar(FILES[FIRST])) + 1024 + MIDDLE), [SECOND, THIRD]


def a_damaged_header(root: Path) -> tuple[Path, list[str]]:
    data = bytearray(tar(FILES[SECOND]))
    at = data.find(FILES[SECOND][3][0].encode())
    data[at : at + 512] = b"\xff" * 512
    (class_tars(root) / f"{SECOND}.tar").write_bytes(data)
    return root, [SECOND]


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("make", [one_class_tar, a_tar_of_tars, a_damaged_header])
class TestATarThatBreaksOff:
    def test_classes_of_a_damaged_source_are_incomplete_until_repair(
        self, make: Make, tmp_path: Path, processes: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        root, broken = make(tmp_path / "root")
        for _ in range(2):  # and again: it is looked at anew
            caplog.clear()
            summary = run(tmp_path, Full(str(root)), processes=processes)
            assert list(summary.short) == broken
            table = classes(tmp_path)
            assert (table.wanted - table.kept).to_dict() == {wnid: int(wnid in broken) for wnid in WNIDS}
            assert table.unlisted.to_dict() == {wnid: int(wnid in broken) for wnid in WNIDS}
            assert table.kept[FIRST] == 6
            if make is not a_tar_of_tars:
                assert 0 < table.kept[SECOND] < 6
            warned = [r.getMessage() for r in caplog.records if "is damaged behind byte" in r.getMessage()]
            assert warned, "named where it breaks off"
            assert len(warned) == len(set(warned)), "each once"
        if make is a_tar_of_tars:
            root.write_bytes(train(FILES))
        else:
            (root / f"{SECOND}.tar").write_bytes(tar(FILES[SECOND]))
        summary = run(tmp_path, Full(str(root)), processes=processes)
        assert (summary.kept, summary.short) == (18, ())
        assert classes(tmp_path).wanted.to_dict() == dict.fromkeys(WNIDS, 6)

    def test_fallback_completes_the_truncated_class(self, make: Make, tmp_path: Path, processes: int) -> None:
        root, _ = make(tmp_path / "root")
        (tmp_path / "train.tar").write_bytes(train(FILES))
        summary = run(tmp_path, Full(str(root)), Archive(train=str(tmp_path / "train.tar")), processes=processes)
        assert (summary.kept, summary.short) == (18, ())
        assert classes(tmp_path).wanted.to_dict() == dict.fromkeys(WNIDS, 6)


def test_truncated_fallback_leaves_the_class_short(tmp_path: Path) -> None:
    """It gives what it has, and there is more."""
    root, _ = one_class_tar(tmp_path / "root")
    (tmp_path / "train.tar").write_bytes(train({FIRST: FILES[FIRST]}))
    summary = run(tmp_path, Archive(train=str(tmp_path / "train.tar")), Full(str(root)))
    assert summary.sources == {"archive": 6, "full": 6 + classes(tmp_path).kept[SECOND]}
    assert summary.short == (SECOND,)
    assert classes(tmp_path).wanted[SECOND] == classes(tmp_path).kept[SECOND] + 1


def test_listed_images_behind_the_damage_are_missing_with_its_reason(tmp_path: Path) -> None:
    root, _ = one_class_tar(tmp_path / "root")
    names = [name for name, _ in FILES[SECOND]]
    (tmp_path / "names.txt").write_text("\n".join(names))
    one = job(tmp_path / "set", Full(str(root)), nk=None, wnids=WNIDS)
    summary = collect(replace(one, sampling=ListedOrder(0, str(tmp_path / "names.txt"))))
    table = pd.read_csv(tmp_path / "set" / "missing.csv")
    assert summary.short == (SECOND,)
    assert list(table.image_id) == [name.removesuffix(".JPEG") for name in names[summary.kept :]]
    assert all("is damaged behind byte" in detail for detail in table.detail)
    assert "unlisted" not in classes(tmp_path)


def a_gzipped_class_tar(root: Path) -> Path:
    (class_tars(root) / f"{SECOND}.tar").write_bytes(gzip.compress(tar(FILES[SECOND])))
    return root


def a_class_tar_of_nothing(root: Path) -> Path:
    (class_tars(root) / f"{SECOND}.tar").write_bytes(b"")
    return root


def a_class_tar_that_is_a_page(root: Path) -> Path:
    (class_tars(root) / f"{SECOND}.tar").write_bytes(b"<!doctype html>" + b"log in " * 300)
    return root


def a_class_tar_that_is_a_folder(root: Path) -> Path:
    (class_tars(root) / f"{SECOND}.tar").unlink()
    (root / f"{SECOND}.tar").mkdir()
    return root


def a_gzipped_tar_in_the_tar(root: Path) -> Path:
    packed = [(f"{wnid}.tar", tar(FILES[wnid])) for wnid in WNIDS]
    packed[1] = (f"{SECOND}.tar", gzip.compress(packed[1][1]))
    root.write_bytes(tar(packed))
    return root


@pytest.mark.parametrize("nk", [None, 4])
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (a_gzipped_class_tar, r"n01443537\.tar is gzip'ed; gunzip it first"),
        (a_class_tar_of_nothing, r"n01443537\.tar is no tar: "),
        (a_class_tar_that_is_a_page, r"n01443537\.tar is no tar: "),
        (a_class_tar_that_is_a_folder, r"n01443537\.tar is no file"),
        (a_gzipped_tar_in_the_tar, r"n01443537\.tar in \S+/root is gzip'ed"),
    ],
)
def test_unreadable_class_is_skipped_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, make: Make, said: str, processes: int, nk: int | None
) -> None:
    summary = run(tmp_path, Full(str(make(tmp_path / "root"))), nk=nk, processes=processes)
    assert (summary.kept, summary.short) == (2 * (nk or 6), (SECOND,))
    assert classes(tmp_path).unlisted.to_dict() == {FIRST: 0, SECOND: 1, THIRD: 0}
    [_] = [record for record in caplog.records if re.search(said, record.getMessage())]
    with closing(sqlite3.connect(tmp_path / "set" / "ledger.sqlite")) as ledger:
        [(detail,)] = ledger.execute("SELECT detail FROM attempts WHERE reason = 'unlisted'")
    assert re.search(said, detail)


@pytest.mark.parametrize("nk", [None, 4])
def test_no_readable_class_is_one_line(tmp_path: Path, nk: int | None) -> None:
    for wnid in WNIDS:
        a_class = class_tars(tmp_path / "root") if wnid == FIRST else tmp_path / "root"
        (a_class / f"{wnid}.tar").write_bytes(gzip.compress(tar(FILES[wnid])))
    with pytest.raises(
        SourceError, match=r"none of the 3 wanted classes can be read: .*n01440764\.tar is gzip'ed"
    ) as e:
        run(tmp_path, Full(str(tmp_path / "root")), nk=nk)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("materialize", Materialize)
@pytest.mark.parametrize("place", ["set", "set/images", "link", "set/spare"])
def test_own_data_set_as_root_is_refused(tmp_path: Path, place: str, materialize: Materialize) -> None:
    """It would move what is not kept out of the only copy that there is."""
    class_folders(tmp_path / "set" / ("spare" if place == "set/spare" else "images"))
    (tmp_path / "link").symlink_to(tmp_path / "set" / "images")
    before = sorted(tmp_path.rglob("*.JPEG"))
    with pytest.raises(SourceError, match=r"is the folder of this very data set, .*; type dataset\.dir=ANOTHER"):
        run(tmp_path, Full(str(tmp_path / place), materialize=materialize), nk=2)
    assert sorted(tmp_path.rglob("*.JPEG")) == before


def test_data_set_inside_its_source_folder_is_allowed(tmp_path: Path) -> None:
    class_folders(tmp_path / "set" / "train")
    before = sorted(tmp_path.rglob("*.JPEG"))
    assert run(tmp_path, Full(str(tmp_path / "set")), nk=2).kept == 6
    assert sorted(tmp_path.rglob("*.JPEG")) == before


@pytest.mark.parametrize("materialize", Materialize)
def test_name_that_a_list_cannot_hold_is_rejected(tmp_path: Path, materialize: Materialize) -> None:
    """As soon as it is met, not when everything is collected. Linked or copied, a file gets a name of its own."""
    root = class_folders(tmp_path / "root")
    for number, name in enumerate((b"line\nbreak.jpg", b"re\rturn.jpg", b"latin\xff.jpg")):
        (root / FIRST / os.fsdecode(name)).write_bytes(jpeg(number + 70, 40))
    summary = run(tmp_path, Full(str(root), materialize=materialize))
    stage.write(tmp_path / "set", job(tmp_path, Full(str(root)), wnids=WNIDS).label_map, " ", EvalOnly())
    if materialize is Materialize.none:
        assert (summary.kept, summary.reasons) == (18, {"bad_name": 3})
    else:
        assert (summary.kept, summary.reasons) == (21, {})
        again = run(tmp_path, Full(str(root), materialize=materialize))
        assert again == summary
    assert len((tmp_path / "set" / "eval.txt").read_text().splitlines()) == summary.kept


def test_truncated_class_exits_with_3_unless_require_complete_is_false(tmp_path: Path) -> None:
    one_class_tar(tmp_path / "root")
    command = [
        *("nk=null", "stages=[collect,lists]", "dataset.dir=set"),
        *("source=full", "source.root=root", f"classes.wnids=[{','.join(WNIDS)}]", "inspect.min_side=8"),
        *("source@fallback=none", "engine.processes=2"),
    ]
    ended = program.run(*command, cwd=tmp_path)
    assert ended.returncode == 3, ended.stderr
    assert f"1 class is short of images (see classes.csv): {SECOND}" in ended.stderr
    [line] = [line for line in ended.stderr.splitlines() if "is damaged behind byte" in line]
    assert re.match(r"\d\d:\d\d:\d\d W ", line), "a line of the log, whoever found it out"
    assert program.run(*command, "require_complete=false", cwd=tmp_path).returncode == 0


def test_non_unicode_path_is_logged(tmp_path: Path) -> None:
    class_folders(tmp_path / os.fsdecode(b"latin\xff"))
    command = [
        *("nk=2", "stages=[collect,lists]", "dataset.dir=set"),
        *("source=full", os.fsdecode(b'source.root="latin\xff"'), f"classes.wnids=[{','.join(WNIDS)}]"),
        *("source@fallback=none", "inspect.min_side=8", "hydra.run.dir=out"),
    ]
    ended = program.run(*command, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "Logging error" not in ended.stderr
    assert r"latin\udcff: class folders in" in (tmp_path / "out" / "imagenet.log").read_text(encoding="utf-8")


def test_a_set_with_a_part_of_the_classes_says_so_and_asks_no_server_that_was_not_typed(
    tmp_path: Path,
) -> None:
    """As imagenette: the default fallback would ask the official server for the others."""
    class_folders(tmp_path / "root")
    command = ("source=full", "source.root=root", "stages=[collect]", "inspect.min_side=8", "classes.limit=4", "nk=2")
    ended = program.run(*command, cwd=tmp_path)
    assert ended.returncode == 3, ended.stderr
    assert "source.root=root has 3 of the 4 wanted classes" in ended.stderr
    assert "fallback=archive cannot be used" not in ended.stderr
    assert "image-net.org" not in ended.stderr
