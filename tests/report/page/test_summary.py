"""What the page says of single images, and above all what it says where none could be scored."""

from __future__ import annotations

import re
import shutil
from html import unescape
from pathlib import Path

import pytest

from imagenet_nk.preprocessing.row_cache import IMAGES
from imagenet_nk.report import build
from imagenet_nk.sources.demo import pictures
from report.making import Run, wnids
from report.warnings.test_checks import raised, titles

PRAISE = "each is closest to its own class"


def said(text: str) -> str:
    found = re.search(r'id="wrong-text">(.*?)</p>', text)
    assert found
    return unescape(found[1])


def test_summary_has_the_number_of_scored_images(good: Run) -> None:
    assert said(good.report()) == f"None of the 36 images that could be scored: {PRAISE}."


@pytest.fixture
def planted(tmp_path: Path) -> Run:
    """A run with pictures of one class in another."""
    run = Run(tmp_path / "run", 4, 4)
    run.draw()
    one, other = wnids(4)[:2]
    for serial in range(6):
        run.put(one, f"x{serial}", pictures.draw_picture(other, 100 + serial))
    run.collect()
    run.judge()
    return run


def test_moved_data_set_has_the_same_scores(planted: Run, tmp_path: Path) -> None:
    before = titles(planted)
    assert "tench (n01440764) holds mostly images of another class" in before
    moved = Run(tmp_path / "elsewhere", 4, 4)
    shutil.move(planted.place, moved.place)
    assert titles(moved) == before
    assert said(moved.report()).startswith("Closer (cosine distance) to the center")


def test_image_whose_size_changed_is_not_scored(planted: Run, tmp_path: Path) -> None:
    moved = planted.copy(tmp_path / "elsewhere")
    (index,) = moved.folder.rglob(IMAGES)
    lines = [line.split("\t") for line in index.read_text().splitlines()]
    index.write_text("".join("\t".join([crc, "1", stamp, name]) + "\n" for crc, _, stamp, name in lines))
    count = len(lines)
    assert titles(moved)[-1] == f"{count} of {count} images not scored"
    text = said(moved.report())
    assert text == (f"No image could be scored. Not scored: {count} images without an embedding beside the data set.")


def test_single_images_are_reported_as_not_scored(tmp_path: Path) -> None:
    run = Run(tmp_path, 3, 1)
    run.draw()
    run.collect()
    run.judge()
    text = run.report()
    assert said(text).startswith("No image could be scored. Not scored: 3 images that are the only one of their class")
    assert "No image was evaluated: every class has a single image" in text
    assert "<h3>Outliers</h3>" not in text
    assert "95 % interval" not in text


def test_single_class_is_reported_as_not_scored(tmp_path: Path) -> None:
    run = Run(tmp_path, 1, 3)
    run.draw()
    run.collect()
    run.judge()
    text = run.report()
    assert said(text).startswith("No image could be scored. Not scored: 3 images of the only class")
    assert "No image was evaluated: there is one class" in text
    assert "<h3>Outliers</h3>" in text
    assert '<h1 id="overview-h">3 images of 1 class</h1>' in text


@pytest.mark.parametrize("spoil", ["shrank", "lost"])
def test_centers_of_another_list_are_ignored_with_a_warning(spoiled: Run, spoil: str) -> None:
    listed = spoiled.folder / "eval.txt"
    if spoil == "lost":
        listed.unlink()
    else:
        listed.write_text("".join(listed.read_text().splitlines(keepends=True)[:-1]))
    first, *others = raised(spoiled)
    assert (first.level, first.title) == ("problem", "The centers of this run belong to another list")
    assert "made them of 36 images of 6 classes" in first.detail
    assert others == []
    text = spoiled.report()
    assert 'id="centers"' not in text
    assert 'id="evaluation"' not in text
    assert "nearest class mean" not in text


def test_centers_of_another_data_set_are_ignored(good: Run, planted: Run) -> None:
    build.write(good.folder, planted.output)
    text = planted.page.read_text(encoding="utf-8")
    assert "The centers of this run belong to another list" in text
    assert 'id="centers"' not in text
