from __future__ import annotations

import os
from pathlib import Path

import pytest

from imagenet_nk.dataset.summary import Summary
from imagenet_nk.progress.run_summary import files_written, format_summary, read_summary
from imagenet_nk.progress.stage_timer import Stage

SUMMARY = Summary(
    classes=12,
    kept=118,
    tried=239,
    short=("n01440764", "n01443537"),
    reasons={"placeholder": 24, "http_404": 9},
    sources={"demo": 118},
    shared=0,
)


def test_summary_has_images_incomplete_classes_reasons_times_and_files() -> None:
    stages = [Stage("collect", "", 192.4), Stage("lists", "", 0.2), Stage("centers", "", None)]
    text = format_summary(SUMMARY, stages, [(Path("dataset/demo/eval.txt"), 4096), (Path("x/report.html"), 999)])
    assert text.splitlines() == [
        "kept      118 images of 12 classes, out of 239 candidates",
        "short     2 classes: n01440764, n01443537",
        "rejected  placeholder 24, http_404 9",
        "time      collect 3 min 12 s, lists 0 s",
        "files     dataset/demo/eval.txt  4.1 kB",
        "          x/report.html  999 bytes",
    ]


def test_one_image_is_singular_and_paths_are_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard" / "events.out").write_text("x")
    one = Summary(classes=1, kept=1, tried=1, short=(), reasons={}, sources={}, shared=0)
    assert format_summary(one, [], files_written([tmp_path], 0.0)).splitlines() == [
        "kept      1 image of 1 class, out of 1 candidate",
        "short     no class",
        "rejected  none",
        "files     tensorboard/events.out  1 bytes",
    ]


def test_brackets_in_a_path_are_not_read_as_markup() -> None:
    assert "[red]x[/red].txt" in format_summary(None, [], [(Path("[red]x[/red].txt"), 1)])


def test_warnings_come_last() -> None:
    text = format_summary(SUMMARY, [], [(Path("x/metrics.json"), 999)], ["resnet50: the labels are wrong"])
    assert text.splitlines()[-1] == "warning   resnet50: the labels are wrong"


def test_files_older_than_the_run_are_left_out(tmp_path: Path) -> None:
    for name, time in (("eval.txt", 100.0), ("classes.csv", 300.0), ("other.txt", 300.0)):
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (time, time))
    assert files_written([tmp_path], 200.0) == [(tmp_path / "classes.csv", 1)]


def test_summary_of_a_run_that_did_not_collect_comes_from_classes_csv(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text(
        "label,wnid,name,wanted,kept,tried,http_404,truncated,words,gloss\n"
        "0,n01440764,tench,3,3,4,0,1,tench,a fish\n"
        "1,n01443537,goldfish,3,1,4,3,0,,\n"
    )
    lines = format_summary(read_summary(tmp_path), [Stage("report", "", 1.2)], []).splitlines()
    assert lines == [
        "kept      4 images of 2 classes, out of 8 candidates",
        "short     1 class: n01443537",
        "rejected  http_404 3, truncated 1",
        "time      report 1 s",
    ]


@pytest.mark.parametrize("text", [None, "", "wnid,kept\nn01440764,1\n", '"'])
def test_unreadable_classes_csv_gives_no_summary(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "classes.csv").write_text(text)
    assert read_summary(tmp_path) is None
