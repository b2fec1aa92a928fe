from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagenet_nk.sources.hub.source import Hub
from sources.contract import images
from sources.hub.helpers import fails, opened, written
from sources.shards import GOLDFISH, TENCH, WNIDS, parquet
from sources.small_tars import tar_bytes


def by_class(root: Path, *, sorted_labels: bool = True) -> dict[str, set[bytes]]:
    """The content of all images of each class."""
    source = opened(Hub(str(root), sorted_labels=sorted_labels), root.parent)
    return {wnid: {image.data for image in images(source, wnid)} for wnid in WNIDS}


TARS = {
    "equal names in two folders": {"a/1.jpg": b"tench", "a/1.cls": b"0", "b/1.jpg": b"goldfish", "b/1.cls": b"1"},
    "an unlabelled image before a labelled one of another folder": {
        "a/1.jpg": b"nothing", "b/1.jpg": b"goldfish", "b/1.cls": b"1", "c/1.jpg": b"tench", "c/1.cls": b"0",
    },
    "AppleDouble files": {
        "._1.jpg": b"mac", "1.jpg": b"tench", "._1.cls": b"mac", "1.cls": b"0",
        "__MACOSX/._2.jpg": b"mac", "2.jpg": b"goldfish", "2.cls": b"1", ".DS_Store": b"mac",
    },
    "multi-part suffixes": {
        "x.input.jpg": b"tench", "x.target.cls": b"0", "y.input.png": b"goldfish", "y.mask.png": b"m",
        "y.target.cls": b"1",
    },
    "upper case": {"x.JPG": b"tench", "x.CLS": b"0", "y.JPEG": b"goldfish", "y.CLS": b"1\n"},
    "a folder with a dot": {"v1.0/x.jpg": b"tench", "v1.0/x.cls": b"0", "v1.0/y.jpg": b"goldfish", "v1.0/y.cls": b"1"},
    "images first, labels behind": {"a.jpg": b"tench", "b.jpg": b"goldfish", "a.cls": b"0", "b.cls": b"1"},
}  # fmt: skip


@pytest.mark.parametrize("case", TARS)
def test_each_image_has_the_label_of_its_own_sample(tmp_path: Path, case: str) -> None:
    written(tmp_path / "set", {"train-0.tar": tar_bytes(TARS[case])})
    found = by_class(tmp_path / "set")
    assert (found[TENCH], found[GOLDFISH]) == ({b"tench"}, {b"goldfish"})


def test_output_folder_of_img2dataset(tmp_path: Path) -> None:
    """Each shard is a tar of jpg, txt and json, with a parquet of what is known of its images, and its statistics."""
    files = {}
    for number, (name, label) in enumerate((("tench", 0), ("goldfish", 1))):
        known = {"url": f"http://x/{name}.jpg", "key": f"{number:09d}", "status": "success", "label": label}
        table, shard = io.BytesIO(), f"{number:05d}"
        pq.write_table(pa.table({key: [value] for key, value in known.items()}), table)
        files[f"{shard}.parquet"], files[f"{shard}_stats.json"] = table.getvalue(), b'{"count": 1}'
        key = f"{shard}{0:04d}"
        sample = {f"{key}.jpg": name.encode(), f"{key}.txt": b"words", f"{key}.json": json.dumps(known).encode()}
        files[f"{shard}.tar"] = tar_bytes(sample)
    found = by_class(written(tmp_path / "set", files))
    assert (found[TENCH], found[GOLDFISH]) == ({b"tench"}, {b"goldfish"})


def test_equal_official_names_in_two_folders_are_two_images(tmp_path: Path) -> None:
    name = f"{TENCH}_1"
    members = {f"{f}/{name}.{ext}": v for f in "ab" for ext, v in (("jpg", f.encode()), ("cls", b"0"))}
    source = opened(Hub(str(written(tmp_path / "set", {"t.tar": tar_bytes(members)})), sorted_labels=True), tmp_path)
    assert {found.image_id: found.data for found in images(source, TENCH)} == {name: b"a", f"{name}=2": b"b"}


def test_hidden_rows_and_shards_are_passed_over(tmp_path: Path) -> None:
    rows = [("a/._1.jpg", 0, b"mac"), ("1.jpg", 0, b"tench"), ("b/._2.jpg", 1, b"mac"), ("/x/.cache/2.jpg", 1, b"gold")]
    files = {"train-0.parquet": parquet(rows), "._train-0.parquet": b"mac", "__MACOSX/train-1.parquet": b"mac"}
    found = by_class(written(tmp_path / "set", files), sorted_labels=False)
    assert (found[TENCH], found[GOLDFISH]) == ({b"tench"}, {b"gold"})


@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        (
            {"a.npy": b"x", "a.cls": b"0"},
            r"train\.tar has files \(\.cls, \.npy\) and no sample with an image; name the",
        ),
        ({"a.left.jpg": b"x", "a.right.jpg": b"x", "a.cls": b"0"}, r"a has several images: \.left\.jpg, \.right\.jpg"),
        ({"a.jpg": b"x", "a.JPG": b"x", "a.cls": b"0"}, r"sample a has two files \.jpg; make the tar again"),
        ({"a.jpg": b"x", "a.json": b"[1"}, r"sample a: its label cannot be read"),
    ],
)
def test_shard_that_cannot_be_used_is_named(tmp_path: Path, members: dict[str, bytes], wanted: str) -> None:
    written(tmp_path / "set", {"train.tar": tar_bytes(members)})
    fails(Hub(str(tmp_path / "set"), sorted_labels=True), tmp_path, wanted)


def test_shard_without_samples_beside_others_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = tar_bytes({"a.jpg": b"tench", "a.cls": b"0"})
    written(tmp_path / "set", {"train-0.tar": tar_bytes({"a.txt": b"x"}), "train-1.tar": good})
    assert by_class(tmp_path / "set")[TENCH] == {b"tench"}
    assert "train-0.tar has files (.txt) and no sample with an image" in caplog.text


@pytest.mark.parametrize("name", ["x.tar", "x.parquet"])
def test_pipe_in_the_place_of_a_shard_does_not_hang(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    fails(Hub(str(tmp_path / name)), tmp_path, f"{name} is no file")
