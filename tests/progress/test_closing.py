from __future__ import annotations

import os
from pathlib import Path

import pytest

from imagenet_nk.dataset.summary import Summary
from imagenet_nk.progress import closing, course
from imagenet_nk.progress.course import Stage, StageTimer

SUMMARY = Summary(
    classes=12,
    kept=118,
    tried=239,
    short=("n01440764", "n01443537"),
    reasons={"placeholder": 24, "http_404": 9},
    sources={"demo": 118},
    shared=0,
)


def test_the_table_says_what_was_kept_what_is_short_and_what_took_how_long() -> None:
    stages = [Stage("collect", "", 192.4), Stage("lists", "", 0.2), Stage("centers", "", None)]
    text = closing.table(SUMMARY, stages, [(Path("dataset/demo/eval.txt"), 4096), (Path("x/report.html"), 999)])
    assert text.splitlines() == [
        "kept      118 images of 12 classes, out of 239 candidates",
        "short     2 classes: n01440764, n01443537",
        "rejected  placeholder 24, http_404 9",
        "time      collect 3 min 12 s, lists 0 s",
        "files     dataset/demo/eval.txt  4.1 kB",
        "          x/report.html  999 bytes",
    ]


def test_one_of_a_kind_is_singular_and_paths_are_as_seen_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard" / "events.out").write_text("x")
    one = Summary(classes=1, kept=1, tried=1, short=(), reasons={}, sources={}, shared=0)
    assert closing.table(one, [], closing.written([tmp_path], 0.0)).splitlines() == [
        "kept      1 image of 1 class, out of 1 candidate",
        "short     no class",
        "rejected  none",
        "files     tensorboard/events.out  1 bytes",
    ]


def test_brackets_in_a_path_are_no_markup() -> None:
    assert "[red]x[/red].txt" in closing.table(None, [], [(Path("[red]x[/red].txt"), 1)])


def test_warnings_come_last() -> None:
    text = closing.table(SUMMARY, [], [(Path("x/metrics.json"), 999)], ["resnet50: the labels are wrong"])
    assert text.splitlines()[-1] == "warning   resnet50: the labels are wrong"


def test_only_files_of_this_run_are_written(tmp_path: Path) -> None:
    for name, time in (("eval.txt", 100.0), ("classes.csv", 300.0), ("other.txt", 300.0)):
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (time, time))
    assert closing.written([tmp_path], 200.0) == [(tmp_path / "classes.csv", 1)]


def test_a_stage_that_fails_stays_open_and_one_that_runs_again_moves_to_the_end(tmp_path: Path) -> None:
    run = StageTimer(tmp_path)
    with run.stage("collect"):
        assert course.read(tmp_path)[0].seconds is None
    with run.stage("lists"):
        pass
    with pytest.raises(KeyError), run.stage("collect"):
        raise KeyError
    assert [(stage.name, stage.seconds is None) for stage in course.read(tmp_path)] == [
        ("lists", False),
        ("collect", True),
    ]


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"stage": "x"}]'])
def test_a_file_of_another_form_has_no_stages(tmp_path: Path, text: str) -> None:
    (tmp_path / course.NAME).write_text(text)
    assert course.read(tmp_path) == []


def test_a_run_that_did_not_collect_says_what_the_data_set_holds(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text(
        "label,wnid,name,wanted,kept,tried,http_404,truncated,words,gloss\n"
        "0,n01440764,tench,3,3,4,0,1,tench,a fish\n"
        "1,n01443537,goldfish,3,1,4,3,0,,\n"
    )
    lines = closing.table(closing.stands(tmp_path), [Stage("report", "", 1.2)], []).splitlines()
    assert lines == [
        "kept      4 images of 2 classes, out of 8 candidates",
        "short     1 class: n01443537",
        "rejected  http_404 3, truncated 1",
        "time      report 1 s",
    ]


@pytest.mark.parametrize("text", [None, "", "wnid,kept\nn01440764,1\n", '"'])
def test_without_a_table_of_classes_there_is_nothing_to_say(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "classes.csv").write_text(text)
    assert closing.stands(tmp_path) is None
