"""The comparison of a sweep: its table, its page in a real browser, and that a sweep writes it."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import program
from browser import at_width, chromium, complaints
from imagenet_nk.report import sweep as comparison
from report.making import Run

EVIL = """<script>document.title = "broken"</script>"""


@pytest.fixture(scope="module")
def sweep(good: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Job 2 and job 10 with real results, and one that failed in between."""
    folder = tmp_path_factory.mktemp("sweep")
    for job, speed in (("2", 40.0), ("10", 80.0)):
        shutil.copytree(good.output, folder / job)
        cost = json.loads((folder / job / "cost.json").read_text()) | {"images_per_s": speed, "backbone": f"model{job}"}
        (folder / job / "cost.json").write_text(json.dumps(cost))
        (folder / job / "outcome.json").write_text('{"exit_code": 0, "reason": ""}')
    (folder / "3" / ".hydra").mkdir(parents=True)
    (folder / "3" / ".hydra" / "config.yaml").write_text(json.dumps({"backbone": {"name": EVIL}}))
    (folder / "3" / ".hydra" / "overrides.yaml").write_text(json.dumps(["backbone=timm", f"backbone.name={EVIL}"]))
    (folder / "3" / "outcome.json").write_text(json.dumps({"exit_code": 1, "reason": f"no model {EVIL}"}))
    assert comparison.write(folder) == folder / comparison.PAGE
    return folder


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / comparison.TABLE).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_comparison_has_a_row_per_backbone_in_job_order(sweep: Path) -> None:
    found = rows(sweep)
    assert [row["job"] for row in found] == ["2", "3", "10"]
    assert [row["backbone"] for row in found] == ["model2", EVIL, "model10"]
    first = found[0]
    assert int(first["parameters"]) > 300_000
    assert 0.05 < float(first["gmacs"]) < 0.2
    assert first["weights"] == "random:0"
    assert (first["dim"], float(first["images_per_s"])) == ("96", 40.0)
    assert 0 < float(first["euclidean_top1"]) <= float(first["euclidean_top5"] or 1) <= 1
    assert found[1]["reason"] == f"no model {EVIL}"
    assert found[1]["euclidean_top1"] == ""


def test_sweep_without_a_finished_job_has_no_comparison(tmp_path: Path) -> None:
    assert comparison.write(tmp_path) is None


def test_each_backbone_of_one_job_has_a_row(good: Run, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(good.output, tmp_path / "0" / name)
    (tmp_path / "0" / "outcome.json").write_text('{"exit_code": 0, "reason": ""}')
    comparison.write(tmp_path)
    assert [row["job"] for row in rows(tmp_path)] == ["0/one", "0/two"]


def test_comparison_page_plots_sorts_and_names_failures(sweep: Path, tmp_path: Path) -> None:
    with chromium(tmp_path) as driver:
        driver.get((sweep / comparison.PAGE).as_uri())
        assert driver.execute_script("return document.documentElement.dataset.ready") == "yes"
        assert "broken" not in driver.title
        assert driver.find_element("css selector", "h1").text == "2 backbones compared"
        random, failed = driver.find_elements("css selector", ".notice")
        assert "Random weights: model2, model10\n" in random.text
        assert failed.find_element("css selector", "p").text == f"no model {EVIL}"
        assert driver.find_element("id", "plot-missing").text == "1 of 3 jobs has no accuracy."
        assert names_on_plot(driver) == ["model2", "model10"]
        driver.find_element("id", "by-gmacs").click()
        assert names_on_plot(driver) == ["model2", "model10"]
        sort = "[...document.querySelectorAll('th button')].find((each) => each.textContent === 'images/s').click()"
        jobs = "return [...document.querySelectorAll('tbody tr')].map((row) => row.cells[0].textContent)"
        assert driver.execute_script(jobs) == ["2", "3", "10"]
        driver.execute_script(f"{sort}; {sort}")
        assert driver.execute_script(jobs) == ["10", "2", "3"], "the quickest first, the unknown last"
        for width in (390, 1280):
            at_width(driver, width)
            assert driver.execute_script("return document.documentElement.scrollWidth") <= width
        assert complaints(driver) == []


def test_backbone_without_speed_is_listed_and_equal_failures_are_merged(sweep: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    shutil.copytree(sweep, folder)
    shutil.copytree(folder / "3", folder / "4")
    cost = json.loads((folder / "10" / "cost.json").read_text()) | {"images_per_s": None}
    (folder / "10" / "cost.json").write_text(json.dumps(cost))
    comparison.write(folder)
    with chromium(tmp_path / "profile") as driver:
        driver.get((folder / comparison.PAGE).as_uri())
        assert names_on_plot(driver) == ["model2"]
        assert driver.find_element("id", "plot-missing").text == (
            "Without images/s: their embeddings were cached by an earlier run: model10. 2 of 4 jobs have no accuracy."
        )
        assert [each.text for each in driver.find_elements("css selector", ".notice.problem")] == [
            f"FAILED\n{EVIL}, job 3, 4\nno model {EVIL}"
        ]
        driver.find_element("id", "by-parameters").click()
        assert sorted(names_on_plot(driver)) == ["model10", "model2"] or len(names_on_plot(driver)) == 1
        circle = driver.find_elements("css selector", "#plot circle")[0]
        driver.execute_script("arguments[0].focus()", circle)
        assert driver.find_element("id", "plot-text").text.startswith("model2: ")


def names_on_plot(driver: Any) -> list[str]:
    return [each.text for each in driver.find_elements("css selector", "#plot .name")]


def test_sweep_writes_the_comparison_and_exits_with_the_worst_code(tmp_path: Path) -> None:
    ended = program.run("-m", "source=demo", "classes.limit=2", "stages=[collect]", "nk=1,0", cwd=tmp_path)
    assert ended.returncode == 1
    folder = next((tmp_path / "outputs" / "multirun").glob("*/*"))
    assert [(row["exit_code"], row["reason"]) for row in rows(folder)] == [
        ("0", ""),
        ("1", "nk must be at least 1, or null for all that the source has, got 0"),
    ]
    assert (folder / comparison.PAGE).is_file()
