"""Runs of which there is hardly anything to show, and data that want to be more than text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from imagenet_nk.errors import DatasetError
from imagenet_nk.report import build
from imagenet_nk.report.page import data as page_data
from imagenet_nk.sources.demo import pictures
from report.making import Run, wnids

EVIL = """<script>alert("x")</script>'"&\u2028"""


def data_of(text: str) -> dict[str, Any]:
    """The page's data; what is no JSON, such as NaN, is refused."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_page_of_a_data_set_without_images(tmp_path: Path) -> None:
    run = Run(tmp_path, 3, 0)
    for wnid in wnids(3):
        (run.root / wnid).mkdir(parents=True)
        (run.root / wnid / "broken.jpg").write_bytes(b"not a picture")
    run.collect(nk=2)
    text = run.report()
    assert "There are no images" in text
    assert ">nan" not in text.lower()
    assert data_of(text)["classes"]["kept"] == [0, 0, 0]


def test_page_of_a_single_class(tmp_path: Path) -> None:
    run = Run(tmp_path, 1, 3)
    run.draw()
    run.collect()
    run.judge()
    text = run.report()
    assert "There is one class" in text
    classes = data_of(text)["classes"]
    assert (classes["nearest"], classes["cosine"]) == ([None], [None])


def test_class_of_one_image_has_no_spread_and_no_score(tmp_path: Path) -> None:
    run = Run(tmp_path, 3, 1)
    run.draw()
    run.collect()
    run.judge()
    text = run.report()
    assert "3 classes of a single image" in text
    data = data_of(text)
    assert data["classes"]["spread"] == [None] * 3
    assert [images["own"] for images in data["images"]] == [[None]] * 3
    assert data["galleries"] == {"wrong": [], "far": []}


def test_missing_thumbnails_are_marked(spoiled: Run) -> None:
    for image in (spoiled.folder / "images" / wnids(6)[0]).iterdir():
        image.unlink()
    data = data_of(spoiled.report())
    assert data["images"][0]["missing"] == [0, 1, 2, 3, 4, 5]
    assert (spoiled.output / "report" / "thumbnails" / f"{wnids(6)[0]}.jpg").is_file()


def test_names_and_urls_are_embedded_as_text(spoiled: Run) -> None:
    classes = pd.read_csv(spoiled.folder / "classes.csv")
    classes.loc[0, ["name", "words"]] = EVIL
    classes.loc[1, "kept"] = 0
    classes.rename(columns={"gloss": EVIL}).assign(**{EVIL: 1}).to_csv(spoiled.folder / "classes.csv", index=False)
    manifest = pd.read_parquet(spoiled.folder / "manifest.parquet")
    manifest["url"] = f"http://x/{EVIL}"
    manifest.to_parquet(spoiled.folder / "manifest.parquet", index=False)
    (spoiled.output / "outcome.json").write_text(json.dumps({"exit_code": 1, "reason": EVIL}))
    (spoiled.output / ".hydra").mkdir()
    (spoiled.output / ".hydra" / "config.yaml").write_text(json.dumps({"nk": EVIL, "seed": EVIL}))
    (spoiled.output / ".hydra" / "overrides.yaml").write_text(json.dumps([EVIL]))
    text = spoiled.report()
    assert "<script>alert" not in text
    assert "\u2028" not in text.partition('id="data">')[2].partition("</script>")[0]
    assert text.count("<script") == 2, "the page's own: data and script"
    data = data_of(text)
    assert data["classes"]["name"][0] == EVIL
    assert data["images"][0]["url"][0] == f"http://x/{EVIL}"
    assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;" in text


def test_unreadable_run_files_are_ignored(spoiled: Run) -> None:
    for name in ("metrics.json", "outcome.json", "stages.json"):
        (spoiled.output / name).write_text("{")
    (spoiled.folder / "ledger.sqlite").write_bytes(b"no database, and long enough to look at" * 10)
    for leftover in spoiled.folder.glob("ledger.sqlite-*"):
        leftover.unlink()
    assert "Evaluation" not in spoiled.report()


def test_missing_data_set_is_an_error_that_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds no manifest.parquet: run the stage collect first"):
        build.write(tmp_path, tmp_path)


def test_page_is_deterministic(good: Run) -> None:
    assert good.report() == good.report()


def test_common_prefixes_of_ids_and_files_are_stored_once() -> None:
    assert page_data._short("n01440764_5", "n01440764") == "_5"
    assert page_data._short("n01440764", "n01440764") == "=n01440764"
    assert page_data._file("images/n1/a.jpg", "images/n1/a.") == "jpg"
    assert page_data._file("images/n2/ä b.jpg", "images/n1/a.") == "=images/n2/%C3%A4%20b.jpg"
    assert page_data._file("/data/a.jpg", "images/n1/a.") == "=file:///data/a.jpg"


def test_selected_images_are_the_first_of_each_class_and_the_galleries() -> None:
    assert page_data.select_images([0, 0, 0, 1, 1], {2}, 1) == {0: [0, 2], 1: [3]}


def test_any_image_mode_has_a_thumbnail(tmp_path: Path) -> None:
    picture = pictures.draw_picture(wnids(1)[0], 0)
    for mode, name in (("L", "grey.jpg"), ("CMYK", "cmyk.jpg"), ("P", "palette.png"), ("RGBA", "clear.png")):
        picture.convert(mode).save(tmp_path / name)
        found = build.thumbnails.thumbnail(tmp_path / name)
        assert found is not None
        assert (found.mode, found.size) == ("RGB", (112, 112))
    (tmp_path / "torn.jpg").write_bytes((tmp_path / "grey.jpg").read_bytes()[:200])
    assert build.thumbnails.thumbnail(tmp_path / "torn.jpg") is None
    assert build.thumbnails.thumbnail(tmp_path / "gone.jpg") is None
