from __future__ import annotations

from pathlib import Path

import pytest

from imagenet_nk.classes.loading import load
from imagenet_nk.config import ClassesConfig, LabelsConfig
from imagenet_nk.dataset import manifest
from imagenet_nk.dataset.manifest import MANIFEST_COLUMNS, manifest_frame
from imagenet_nk.errors import DatasetError
from imagenet_nk.lists import list_file, stage
from imagenet_nk.lists.list_file import Entry
from imagenet_nk.sampling.draw_order import EvalOnly, Holdout, Split


def leave_images(folder: Path, count: int) -> None:
    """Make a folder what a run with nk=count leaves: so many images, and a list of them."""
    for number in range(5):
        path = folder / f"{number}.jpg"
        path.touch() if number < count else path.unlink(missing_ok=True)
    list_file.write_list(folder / "eval.txt", [Entry(f"{number}.jpg", 0) for number in range(count)])


def test_images_that_another_run_removed_are_an_error(tmp_path: Path) -> None:
    leave_images(tmp_path, 5)
    listed = stage.read(tmp_path)
    leave_images(tmp_path, 2)
    with pytest.raises(DatasetError, match=r"changed .* removed 3 images .*2\.jpg\); .* dataset\.dir=ANOTHER"):
        stage.check_images_exist(tmp_path, listed)


@pytest.mark.parametrize("now", [3, 5])
def test_unchanged_or_larger_folder_is_no_error(tmp_path: Path, now: int) -> None:
    leave_images(tmp_path, 3)
    listed = stage.read(tmp_path)
    leave_images(tmp_path, now)
    stage.check_images_exist(tmp_path, listed)
    (tmp_path / "1.jpg").unlink()
    if now == 3:
        stage.check_images_exist(tmp_path, listed)  # same list: a damaged image, which the stage names


def collected(folder: Path, split: Split, counts: tuple[int, ...] = (4, 1, 3)) -> dict[str, bytes]:
    """The manifests that collecting under a split leaves, for classes of so many images."""
    folder.mkdir(exist_ok=True)
    made = [
        {"image_id": f"{label}_{n}", "label": label, "wnid": f"n{label:08d}", "path": f"{label}/{n}, x.jpg"}
        | {"split": "eval" if n < split.held_out(count) else "train"}
        for label, count in enumerate(counts)
        for n in range(count)
    ]
    frame = manifest_frame([dict.fromkeys(MANIFEST_COLUMNS, "") | NUMBERS | row for row in made])
    with manifest.open_writer(folder) as file:
        file.add(list(frame.itertuples(index=False, name=None)))
    for row in made:
        (folder / str(row["path"])).parent.mkdir(exist_ok=True)
        (folder / str(row["path"])).write_bytes(b"x")
    return manifests(folder)


def manifests(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("manifest.csv", "manifest.parquet")}


NUMBERS = {"bytes": 1, "width": 2, "height": 3}
LABELS = load(ClassesConfig(table="imagenet-1k"), LabelsConfig(order="sorted"))


def test_log_line_counts_entries_or_tells_that_there_are_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for counts, line in (((0, 0, 0), "no image is kept, so eval.txt is empty"), ((4, 1, 3), "8 entries in eval.txt")):
        collected(tmp_path, EvalOnly(), counts)
        caplog.clear()
        stage.write(tmp_path, LABELS, " ", EvalOnly())
        assert caplog.messages[-1] == f"{tmp_path}: {line}"


def test_lists_and_manifest_follow_the_present_split(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    before = collected(folder, EvalOnly())
    for split, eval_count in ((Holdout(2), 5), (Holdout(1), 3), (EvalOnly(), 8)):
        stage.write(folder, LABELS, " ", split)
        assert manifests(folder) == collected(tmp_path / "afresh", split)
        assert len(list_file.read_list(folder / "eval.txt")) == eval_count
        assert (folder / "train.txt").exists() == (eval_count < 8)
    assert manifests(folder) == before


def test_manifest_with_the_same_split_is_not_rewritten(tmp_path: Path) -> None:
    collected(tmp_path, Holdout(2))
    times = {path: path.stat().st_ino for path in tmp_path.iterdir()}
    stage.write(tmp_path, LABELS, " ", Holdout(2))
    assert {path: path.stat().st_ino for path in times} == times


@pytest.mark.parametrize(
    ("present", "requested", "warnings"),
    [
        (EvalOnly(), EvalOnly(), 0),
        (Holdout(2), Holdout(2), 0),
        (EvalOnly(), Holdout(2), 1),
        (Holdout(1), EvalOnly(), 1),
    ],
)
def test_lists_of_another_split_are_used_with_a_warning(
    tmp_path: Path, present: Split, requested: Split, warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    collected(tmp_path, present)
    stage.write(tmp_path, LABELS, " ", present)
    stage.warn_of_another_split(stage.read(tmp_path), requested)
    assert len(caplog.records) == warnings


def test_images_that_are_gone_or_have_another_size_get_no_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    collected(tmp_path, EvalOnly())
    assert stage.write(tmp_path, LABELS, " ", EvalOnly()) == 0
    (tmp_path / "0" / "1, x.jpg").unlink()
    (tmp_path / "2" / "0, x.jpg").write_bytes(b"xx")
    assert stage.write(tmp_path, LABELS, " ", EvalOnly()) == 2
    listed = [entry.path for entry in list_file.read_list(tmp_path / "eval.txt")]
    assert len(listed) == 6
    assert not {"0/1, x.jpg", "2/0, x.jpg"} & set(listed)
    assert "2 images of the manifest left out" in caplog.text
