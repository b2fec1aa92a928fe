"""What a reader is warned of: errors planted in real small runs must stand on the page."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from imagenet_nk.config import LabelsConfig
from imagenet_nk.preprocessing.row_cache import ROWS
from imagenet_nk.progress.stage_timer import StageTimer
from imagenet_nk.report import build, host_stats
from imagenet_nk.report.analysis.analyse import analyse
from imagenet_nk.report.analysis.outliers import OutlierScores, likely_mislabelled
from imagenet_nk.report.page.data import select_images
from imagenet_nk.report.run_data import gather
from imagenet_nk.report.warnings import checks
from imagenet_nk.report.warnings.checks import ReportInputs, largest_group
from imagenet_nk.report.warnings.warning import ReportWarning
from imagenet_nk.sources.demo import pictures
from report.making import Run, wnids

EXPECTED = "The backbone has random weights"  # of every run here


def raised(run: Run) -> list[ReportWarning]:
    data = gather(run.folder, run.output)
    analysis = analyse(data)
    selected = select_images(data.images["row"], (), 24)
    strips = build._strips(data, selected, run.output / "report" / "thumbnails")
    found = checks.find_warnings(ReportInputs(data, host_stats.read(run.folder), analysis, strips))
    return [warning for warning in found if warning.title != EXPECTED]


def titles(run: Run) -> list[str]:
    return [warning.title for warning in raised(run)]


def test_valid_run_has_no_warnings(good: Run) -> None:
    assert raised(good) == []


def test_labels_swapped_in_the_list_are_named(spoiled: Run) -> None:
    listed = spoiled.folder / "eval.txt"
    swap = {"1": "2", "2": "1"}
    lines = [line.rpartition(" ") for line in listed.read_text().splitlines()]
    listed.write_text("".join(f"{path} {swap.get(label, label)}\n" for path, _, label in lines))
    spoiled.judge()
    found = titles(spoiled)
    assert "12 lines of eval.txt with a wrong label" in found
    assert "goldfish (n01443537) and great white shark (n01484850) look swapped" in found
    assert "look swapped" in spoiled.report()


def test_folders_swapped_in_the_source_show_in_image_ids(tmp_path: Path) -> None:
    run = Run(tmp_path, 3, 3)
    for wnid in wnids(3):
        for serial in range(3):
            run.put(wnid, f"{wnid}_{serial}", pictures.draw_picture(wnid, serial))
    run.swap_folders(*wnids(3)[:2])
    run.collect()
    assert "6 images named after another class" in titles(run)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Twelve classes: with fewer, a classifier may be right on some of them by chance."""
    run = Run(tmp_path_factory.mktemp("known"), 12, 6)
    run.draw()
    run.collect()
    run.judge()
    return run


def test_folders_swapped_with_neutral_names_are_found_by_the_classifier(known: Run, tmp_path: Path) -> None:
    run = Run(tmp_path, 12, 6)
    run.draw()
    run.swap_folders(*wnids(12)[1:3])
    run.collect()
    run.judge()
    assert titles(run) == [], "pixels alone cannot tell: each folder is of one piece"
    run.judge(backbone=known.classifier(tmp_path / "classifier.safetensors"))
    warning = raised(run)[0]
    assert warning.level == "problem"
    assert warning.title == "The labels of goldfish (n01443537), great white shark (n01484850) look swapped"
    assert "look swapped" in run.report()


def test_valid_run_with_a_classifier_has_no_warnings(good: Run, spoiled: Run, tmp_path: Path) -> None:
    spoiled.judge(backbone=good.classifier(tmp_path / "classifier.safetensors"))
    assert raised(spoiled) == []


def test_class_predicted_as_another_is_a_warning(spoiled: Run) -> None:
    metrics = json.loads((spoiled.output / "metrics.json").read_text())
    mislabelled = {"wnid": "n01440764", "predicted": "n02012849", "share": 0.75}
    metrics["label_check"] = {"labels_wrong": False, "likely_mislabelled": [mislabelled]}
    (spoiled.output / "metrics.json").write_text(json.dumps(metrics))
    (warning,) = raised(spoiled)
    assert (warning.level, warning.title) == ("warning", "The classifier takes tench (n01440764) for n02012849")


def test_labels_swapped_in_the_label_file_are_out_of_order(tmp_path: Path) -> None:
    run = Run(tmp_path / "run", 6, 2)
    run.draw()
    order = list(wnids(1000))
    order[3], order[4] = order[4], order[3]
    file = tmp_path / "labels.txt"
    file.write_text("\n".join(order) + "\n")
    run.collect(labels=LabelsConfig(order="file", path=str(file)))
    assert "2 classes out of order" in titles(run)


def test_class_of_identical_pictures_is_a_problem(tmp_path: Path) -> None:
    run = Run(tmp_path, 4, 6)
    run.draw()
    for serial in range(6):
        run.put(wnids(4)[2], f"{serial:03}", pictures.draw_picture(wnids(4)[2], 0), quality=60 + 5 * serial)
    run.collect()
    assert [warning.title for warning in raised(run) if warning.level == "problem"] == [
        "great white shark (n01484850) shows one picture 6 times"
    ]


def test_ten_planted_images_are_likely_mislabelled(tmp_path: Path) -> None:
    run = Run(tmp_path, 6, 10)
    run.draw()
    one, other = wnids(6)[:2]
    for serial in range(10):
        run.put(one, f"x{serial}", pictures.draw_picture(other, 100 + serial))
    run.collect()
    run.judge()
    data = gather(run.folder, run.output)
    found = analyse(data).images
    assert found is not None
    wrong = data.images.iloc[likely_mislabelled(found, 60)]
    strangers = set(data.images[data.images["image_id"].str.contains("_x")]["image_id"])
    assert strangers <= set(wrong["image_id"])
    assert len(strangers) == 10
    rows = data.images.index[data.images["image_id"].isin(strangers)]
    assert found.nearest[rows].tolist() == [1] * 10, "they are known for what they are"
    assert "tench (n01440764) holds mostly images of another class" in titles(run)


def test_all_planted_errors_are_found_with_a_classifier(known: Run, tmp_path: Path) -> None:
    run = Run(tmp_path, 12, 6)
    run.draw()
    one, other, same, first, second = wnids(5)
    for serial in range(10):
        run.put(one, f"x{serial}", pictures.draw_picture(other, 100 + serial))
    for serial in range(6):
        run.put(same, f"{serial:03}", pictures.draw_picture(same, 0), quality=60 + 5 * serial)
    run.swap_folders(first, second)
    run.collect()
    run.judge(backbone=known.classifier(tmp_path / "classifier.safetensors"))
    found = titles(run)
    assert "great white shark (n01484850) shows one picture 6 times" in found
    assert "The labels of tiger shark (n01491361), hammerhead (n01494475) look swapped" in found
    assert "The classifier takes tench (n01440764) for goldfish (n01443537)" in found
    data = gather(run.folder, run.output)
    judged = analyse(data).images
    assert judged is not None
    gallery = set(data.images.iloc[likely_mislabelled(judged, 60)]["image_id"])
    assert {f"{one}_x{serial}" for serial in range(10)} <= gallery


def test_short_classes_are_named_with_their_missing_images(tmp_path: Path) -> None:
    run = Run(tmp_path, 3, 4)
    run.draw()
    (run.root / wnids(3)[1] / "000.jpg").unlink()
    run.collect(nk=4)
    warning = next(warning for warning in raised(run) if "short" in warning.title)
    assert (warning.title, warning.rows) == ("1 class short of images", [1])
    assert warning.detail == "1 image missing: goldfish (n01443537)."


def test_interrupted_run_is_a_warning(spoiled: Run) -> None:
    with pytest.raises(KeyboardInterrupt), StageTimer(spoiled.output).stage("centers"):
        raise KeyboardInterrupt
    with sqlite3.connect(spoiled.folder / "ledger.sqlite") as db:
        db.execute("DELETE FROM meta WHERE name = 'done'")
    db.close()
    detail = raised(spoiled)[0].detail
    assert detail.startswith("The data set was never collected to its end; ")
    assert "the stage centers began and did not end" in detail
    assert "missing" not in detail, "it left no settings to compare with"


def test_interrupted_run_names_its_missing_results(spoiled: Run) -> None:
    (spoiled.output / ".hydra").mkdir()
    (spoiled.output / ".hydra" / "config.yaml").write_text("stages: [collect, lists, centers, evaluate, report]")
    timer = StageTimer(spoiled.output)
    with timer.stage("collect"):
        pass
    with timer.stage("lists"):
        pass
    with pytest.raises(KeyboardInterrupt), timer.stage("centers"):
        raise KeyboardInterrupt
    assert raised(spoiled)[0].title == "The run was interrupted"
    assert "missing: the centers, the evaluation" in raised(spoiled)[0].detail


def test_failed_run_is_shown_with_its_reason(spoiled: Run) -> None:
    (spoiled.output / "outcome.json").write_text('{"exit_code": 1, "reason": "the disk is full"}')
    assert (raised(spoiled)[0].title, raised(spoiled)[0].detail[:30]) == (
        "The run failed",
        "It failed: the disk is full. T",
    )


def test_failed_label_check_is_a_problem(spoiled: Run) -> None:
    metrics = json.loads((spoiled.output / "metrics.json").read_text())
    metrics["label_check"] = {"labels_wrong": True, "message": "they are numbered as clsloc from 1"}
    metrics["ncm"] = {"cosine": {"top1": {"value": 0.2}, "top5": None}}
    (spoiled.output / "metrics.json").write_text(json.dumps(metrics))
    found = raised(spoiled)
    assert found[0].title == "The backbone's own classifier disagrees with the labels"
    assert "The centers do not tell the classes apart" in [warning.title for warning in found]


def test_image_in_two_classes_is_a_warning(tmp_path: Path) -> None:
    run = Run(tmp_path, 3, 2)
    run.draw()
    run.put(wnids(3)[2], "same", pictures.draw_picture(wnids(3)[0], 0))
    run.collect()
    assert "1 image in more than one class" in titles(run)


def test_deleted_file_is_counted_as_missing(spoiled: Run) -> None:
    image = next((spoiled.folder / "images").glob("*/*.jpg"))
    image.write_bytes(b"no picture")
    assert titles(spoiled) == ["1 picture missing"]


def test_missing_centers_and_embeddings_are_notes(spoiled: Run) -> None:
    for file in (spoiled.folder / "embeddings").rglob(ROWS):
        file.unlink()
    assert titles(spoiled) == ["The embeddings were not kept"]
    (spoiled.output / "centers.safetensors").unlink()
    assert titles(spoiled) == ["There are no centers"]


@pytest.mark.parametrize(
    ("dhashes", "size"),
    [([], 0), ([7], 1), ([0, 1, 3, 2**63], 4), ([0, 0xFFFF, 0xFFFF0000], 1), ([5, 5, 2**40 - 1], 2)],
)
def test_largest_group_counts_pictures_near_one_of_them(dhashes: list[int], size: int) -> None:
    assert largest_group(dhashes) == size


def test_likely_mislabelled_images_need_a_second_center() -> None:
    found = OutlierScores(np.array([0.5, np.nan]), np.array([np.nan, 0.1]), np.array([-1, -1]))
    assert likely_mislabelled(found, 5).tolist() == []
