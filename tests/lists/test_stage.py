"""The lists of a folder while another run works on it."""

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


def given(folder: Path, count: int) -> None:
    """What a run with nk=count leaves: so many images, and a list of them."""
    for number in range(5):
        path = folder / f"{number}.jpg"
        path.touch() if number < count else path.unlink(missing_ok=True)
    list_file.write_list(folder / "eval.txt", [Entry(f"{number}.jpg", 0) for number in range(count)])


def test_a_folder_that_lost_images_of_the_list_is_noticed(tmp_path: Path) -> None:
    given(tmp_path, 5)
    listed = stage.read(tmp_path)
    given(tmp_path, 2)
    with pytest.raises(DatasetError, match=r"another run has changed .*: 3 images .*2\.jpg\); .* dataset\.dir=ANOTHER"):
        stage.check_still_there(tmp_path, listed)


@pytest.mark.parametrize("now", [3, 5])
def test_one_that_is_as_it_was_or_has_more_is_not(tmp_path: Path, now: int) -> None:
    given(tmp_path, 3)
    listed = stage.read(tmp_path)
    given(tmp_path, now)
    stage.check_still_there(tmp_path, listed)
    (tmp_path / "1.jpg").unlink()
    if now == 3:
        stage.check_still_there(tmp_path, listed)  # its list is the same: a fault of the image, named by the stage


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
    return manifests(folder)


def manifests(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("manifest.csv", "manifest.parquet")}


NUMBERS = {"bytes": 1, "width": 2, "height": 3}
LABELS = load(ClassesConfig(table="imagenet-1k"), LabelsConfig(order="sorted"))


def test_what_is_said_of_lists_without_an_image_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for counts, line in (((0, 0, 0), "no image is kept, so eval.txt is empty"), ((4, 1, 3), "8 entries in eval.txt")):
        collected(tmp_path, EvalOnly(), counts)
        caplog.clear()
        stage.write(tmp_path, LABELS, " ", EvalOnly())
        assert caplog.messages[-1] == f"{tmp_path}: {line}"


def test_the_lists_follow_the_split_of_their_own_command_and_the_manifest_with_them(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    before = collected(folder, EvalOnly())
    for split, judged in ((Holdout(2), 5), (Holdout(1), 3), (EvalOnly(), 8)):
        stage.write(folder, LABELS, " ", split)
        assert manifests(folder) == collected(tmp_path / "afresh", split)
        assert len(list_file.read_list(folder / "eval.txt")) == judged
        assert (folder / "train.txt").exists() == (judged < 8)
    assert manifests(folder) == before


def test_a_manifest_that_is_divided_so_already_is_not_written(tmp_path: Path) -> None:
    collected(tmp_path, Holdout(2))
    times = {path: path.stat().st_ino for path in tmp_path.iterdir()}
    stage.write(tmp_path, LABELS, " ", Holdout(2))
    assert {path: path.stat().st_ino for path in times} == times


@pytest.mark.parametrize(
    ("there", "asked", "warns"),
    [
        (EvalOnly(), EvalOnly(), 0),
        (Holdout(2), Holdout(2), 0),
        (EvalOnly(), Holdout(2), 1),
        (Holdout(1), EvalOnly(), 1),
    ],
)
def test_lists_of_another_split_are_taken_with_a_warning(
    tmp_path: Path, there: Split, asked: Split, warns: int, caplog: pytest.LogCaptureFixture
) -> None:
    collected(tmp_path, there)
    stage.write(tmp_path, LABELS, " ", there)
    stage.warn_of_another_split(stage.read(tmp_path), asked)
    assert len(caplog.records) == warns
