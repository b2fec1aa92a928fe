from __future__ import annotations

import gzip
import os
import re
from pathlib import Path

import pytest

from imagenet_nk.config import HttpConfig, Materialize, Part
from imagenet_nk.errors import SourceError
from imagenet_nk.reasons import Rejected
from imagenet_nk.sampling.draw_order import RandomOrder
from imagenet_nk.sampling.listed_order import parse_line
from imagenet_nk.sources.contract import FetchedImage, SourceContext
from imagenet_nk.sources.local.source import Full
from sources.contract import drive

TENCH, GOLDFISH, SHARK = "n01440764", "n01443537", "n01484850"


def folders(root: Path, *names: str) -> Path:
    """Files that hold their own name, so that a mix-up shows."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def opened(root: Path, *wnids: str, seed: int = 0, part: Part = Part.train) -> Full:
    source = Full(str(root), part)
    source.open(wnids or (TENCH, GOLDFISH), SourceContext(root.parent / "index", HttpConfig(), RandomOrder(seed)))
    return source


def ids(source: Full, wnid: str = TENCH) -> list[str]:
    return [candidate.key for candidate in source.candidates(wnid)]


@pytest.mark.parametrize(
    "place", ["", "train/", "images/", "ILSVRC/Data/CLS-LOC/train/", "Data/CLS-LOC/train/", "CLS-LOC/train/"]
)
def test_class_folders_are_found_where_people_keep_them(tmp_path: Path, place: str) -> None:
    source = opened(folders(tmp_path, f"{place}{TENCH}/{TENCH}_1.JPEG", f"{place}{GOLDFISH}/{GOLDFISH}_7.JPEG"))
    [candidate] = source.candidates(GOLDFISH)
    found = drive(source, candidate)
    assert isinstance(found, FetchedImage)
    assert found.image_id == candidate.key == f"{GOLDFISH}_7"
    assert found.data == f"{place}{GOLDFISH}/{GOLDFISH}_7.JPEG".encode()
    assert found.path is not None
    assert found.path.read_bytes() == found.data


def test_it_says_what_it_recognised(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    opened(folders(tmp_path, f"train/{TENCH}/a.jpg"))
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: class folders in {tmp_path}/train, with 1 of the 2 wanted classes"
    ]


def test_every_image_extension_counts_in_any_case_and_nothing_else(tmp_path: Path) -> None:
    names = ["a.jpg", "b.JPEG", "c.Png", "d.webp", "e.BMP", "f.gif", "g.tif", "h.tiff", "i.txt", ".DS_Store", "jpg"]
    source = opened(folders(tmp_path, *(f"{TENCH}/{name}" for name in names)))
    assert sorted(ids(source)) == [f"{TENCH}_{letter}" for letter in "abcdefgh"]


def test_a_folder_deeper_as_in_tiny_imagenet(tmp_path: Path) -> None:
    source = opened(folders(tmp_path, f"{TENCH}/images/{TENCH}_0.JPEG", f"{TENCH}/{TENCH}_boxes.txt"))
    assert ids(source) == [f"{TENCH}_0"]


def test_one_stem_twice_gets_two_ids(tmp_path: Path) -> None:
    names = ["a.jpg", "a.png", f"{TENCH}_a.gif", "images/a.jpg"]
    source = opened(folders(tmp_path, *(f"{TENCH}/{name}" for name in names)))
    assert sorted(ids(source)) == [f"{TENCH}_a", f"{TENCH}_a=2", f"{TENCH}_a=3", f"{TENCH}_a=4"]
    data = {found.data for c in source.candidates(TENCH) if isinstance(found := drive(source, c), FetchedImage)}
    assert data == {f"{TENCH}/{name}".encode() for name in names}


def test_odd_names_become_safe_ids_and_utf8_urls(tmp_path: Path) -> None:
    folders(tmp_path, f"{TENCH}/a b é.jpg")
    (tmp_path / TENCH / os.fsdecode(b"\xff%20.jpg")).write_bytes(b"latin")
    source = opened(tmp_path)
    candidates = {candidate.key: candidate for candidate in source.candidates(TENCH)}
    assert set(candidates) == {f"{TENCH}_a=20b=20=C3=A9", f"{TENCH}_=FF=2520"}
    for candidate in candidates.values():
        assert re.fullmatch(r"[A-Za-z0-9._=-]+", candidate.key)
        candidate.url.encode()
    found = drive(source, candidates[f"{TENCH}_=FF=2520"])
    assert isinstance(found, FetchedImage)
    assert found.data == b"latin"


def test_ids_of_long_names_fit_a_file_name_and_stay_apart(tmp_path: Path) -> None:
    source = opened(
        folders(tmp_path, f"{TENCH}/{'é' * 110}a.jpg", f"{TENCH}/{'é' * 110}b.jpg", f"{TENCH}/{'x' * 200}.jpg")
    )
    assert len(set(ids(source))) == 3
    assert all(len(image_id) <= 200 and parse_line(image_id.encode()) == (TENCH, image_id) for image_id in ids(source))


def test_order_depends_on_the_seed_and_not_on_the_folder(tmp_path: Path) -> None:
    names = [f"{TENCH}/{TENCH}_{n}.JPEG" for n in range(30)]
    here = opened(folders(tmp_path / "here", *names))
    there = opened(folders(tmp_path / "there" / "train", *reversed(names)).parent)
    assert ids(here) == ids(there) == ids(here)
    assert ids(here) != ids(opened(tmp_path / "here", seed=1))
    assert sorted(ids(here)) == sorted(ids(opened(tmp_path / "here", seed=1)))


def test_a_class_that_is_not_there_has_no_candidates(tmp_path: Path) -> None:
    source = opened(folders(tmp_path, f"{TENCH}/a.jpg"), TENCH, SHARK)
    assert ids(source, SHARK) == []


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ([], "has no known layout of ImageNet"),
        (["cats/a.jpg"], "has no known layout of ImageNet"),
        ([f"{SHARK}/a.jpg"], f"has none of the 2 wanted classes; it is class folders in .* such as {SHARK}"),
    ],
)
def test_a_root_without_the_classes_is_one_line(tmp_path: Path, files: list[str], wanted: str) -> None:
    with pytest.raises(SourceError, match=wanted) as error:
        opened(folders(tmp_path, *files))
    assert "\n" not in str(error.value)


def test_a_root_that_is_nothing_of_the_kind_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist; name the folder, or the tar"):
        opened(tmp_path / "missing")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"n01440764_1.JPEG\n", "is text, no tar; name the folder, or the tar, of the images"),
        (b"PK\3\4 and so on", "is a zip archive, no tar"),
        (b"\xff\xd8\xff and so on", "is a JPEG picture, no tar"),
        (b"", "is empty, no tar"),
        (gzip.compress(b"tar"), "is gzip'ed; gunzip it first"),
    ],
)
@pytest.mark.parametrize("part", Part)
def test_a_root_that_is_another_kind_of_file_is_called_that(tmp_path: Path, data: bytes, said: str, part: Part) -> None:
    (tmp_path / "file.txt").write_bytes(data)
    with pytest.raises(SourceError, match=rf"source\.root={tmp_path}/file\.txt {said}") as error:
        opened(tmp_path / "file.txt", part=part)
    assert "\n" not in str(error.value)


def test_a_class_folder_that_cannot_be_listed_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = opened(folders(tmp_path, f"{TENCH}/a.jpg", f"{GOLDFISH}/b.jpg"))
    (tmp_path / TENCH).rename(tmp_path / "gone")
    [rest] = source.candidates(TENCH)
    said = f"{tmp_path}/{TENCH} cannot be listed: No such file or directory"
    assert drive(source, rest) == Rejected("unlisted", detail=said)
    assert caplog.messages == [said]
    assert ids(source, GOLDFISH) == [f"{GOLDFISH}_b"]


def test_a_root_that_is_gone_while_classes_are_listed_is_an_error(tmp_path: Path) -> None:
    """A disk that is away for a while is no class's fault."""
    source = opened(folders(tmp_path / "root", f"{TENCH}/a.jpg"))
    (tmp_path / "root").rename(tmp_path / "gone")
    with pytest.raises(SourceError, match="is gone"):
        list(source.candidates(TENCH))


def test_faults_of_a_candidate_are_rejections(tmp_path: Path) -> None:
    source = opened(folders(tmp_path, f"{TENCH}/a.jpg", f"{TENCH}/b.jpg/x", f"{TENCH}/d.jpg"))
    os.mkfifo(tmp_path / TENCH / "c.jpg")
    candidates = list(source.candidates(TENCH))
    (tmp_path / TENCH / "a.jpg").unlink()
    results = {candidate.key[-1]: drive(source, candidate) for candidate in candidates}
    assert {key: r.reason for key, r in results.items() if isinstance(r, Rejected)} == {
        "a": "missing",
        "b": "unreadable",
        "c": "unreadable",
    }
    assert isinstance(results["d"], FetchedImage)


def test_identity_is_the_folder_whichever_way_it_is_written(tmp_path: Path) -> None:
    folders(tmp_path, f"{TENCH}/a.jpg")
    (tmp_path.parent / "link").unlink(missing_ok=True)
    (tmp_path.parent / "link").symlink_to(tmp_path)
    assert Full(str(tmp_path)).identity == Full(str(tmp_path.parent / "link")).identity
    assert Full(str(tmp_path)).identity != Full(str(tmp_path.parent)).identity


def test_materialize_is_taken_from_the_configuration(tmp_path: Path) -> None:
    assert Full(str(tmp_path)).materialize is Materialize.link
    assert Full(str(tmp_path), materialize=Materialize.copy).materialize is Materialize.copy


@pytest.mark.real
def test_the_real_tiny_imagenet(shared: Path) -> None:
    root = shared / "data" / "tiny-imagenet"
    wnids = sorted(folder.name for folder in root.iterdir())
    source = Full(str(root))
    source.open(wnids, SourceContext(root, HttpConfig(), RandomOrder(0)))
    for wnid in wnids:
        candidates = list(source.candidates(wnid))
        assert len(candidates) == len({candidate.key for candidate in candidates}) == 12
        assert all(candidate.key.startswith(f"{wnid}_") for candidate in candidates)


@pytest.mark.parametrize("name", [b"line\nbreak", b"latin\xff"])
def test_a_root_that_no_list_can_hold_is_one_line_where_lists_are_to_hold_it(tmp_path: Path, name: bytes) -> None:
    root = folders(tmp_path / os.fsdecode(name), f"{TENCH}/a.jpg")
    site = SourceContext(tmp_path / "index", HttpConfig(), RandomOrder(0))
    with pytest.raises(SourceError, match=r"is a path that no list can hold; rename it, or type source\.mat") as error:
        Full(str(root), materialize=Materialize.none).open([TENCH], site)
    assert str(error.value).isprintable()
    Full(str(root)).open([TENCH], site)
