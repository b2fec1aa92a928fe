from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from imagenet_nk.reasons import Rejected
from imagenet_nk.sampling.name_lists import parse_line
from imagenet_nk.sources.contract import FetchedImage
from sources.contract import drive
from sources.local.helpers import GOLDFISH, TENCH, folders, ids, opened


def test_every_image_extension_counts_in_any_case_and_nothing_else(tmp_path: Path) -> None:
    names = ["a.jpg", "b.JPEG", "c.Png", "d.webp", "e.BMP", "f.gif", "g.tif", "h.tiff", "i.txt", ".DS_Store", "jpg"]
    source = opened(folders(tmp_path, *(f"{TENCH}/{name}" for name in names)))
    assert sorted(ids(source)) == [f"{TENCH}_{letter}" for letter in "abcdefgh"]


def test_images_without_an_extension_count_by_their_content(tmp_path: Path) -> None:
    """And neither a pipe nor a folder in the place of an image stops the run."""
    png = b"\x89PNG\r\n\x1a\n"
    names = ["a.jfif", "b.jpe", "c.avif", "._a.jpg", "__MACOSX/x.jpg"]
    folders(tmp_path, *(f"{TENCH}/{name}" for name in names), f"{TENCH}/readme")
    (tmp_path / TENCH / "d").write_bytes(png)
    (tmp_path / TENCH / "folder.jpg").mkdir()
    for pipe in ("e", "f.jpg"):
        os.mkfifo(tmp_path / TENCH / pipe)
    source = opened(tmp_path)
    assert sorted(ids(source)) == [f"{TENCH}_{name}" for name in ("a", "b", "c", "d", "f", "folder")]
    found = {candidate.key[-1]: drive(source, candidate) for candidate in source.candidates(TENCH)}
    assert isinstance(found["d"], FetchedImage)
    assert found["d"].data == png
    for unusable in "fr":
        assert isinstance(found[unusable], Rejected)
        assert found[unusable].reason == "unreadable"


def test_folder_deeper_as_in_tiny_imagenet(tmp_path: Path) -> None:
    source = opened(folders(tmp_path, f"{TENCH}/images/{TENCH}_0.JPEG", f"{TENCH}/{TENCH}_boxes.txt"))
    assert ids(source) == [f"{TENCH}_0"]


def test_equal_stems_get_different_ids(tmp_path: Path) -> None:
    names = ["a.jpg", "a.png", f"{TENCH}_a.gif", "images/a.jpg"]
    source = opened(folders(tmp_path, *(f"{TENCH}/{name}" for name in names)))
    assert sorted(ids(source)) == [f"{TENCH}_a", f"{TENCH}_a=2", f"{TENCH}_a=3", f"{TENCH}_a=4"]
    data = {found.data for c in source.candidates(TENCH) if isinstance(found := drive(source, c), FetchedImage)}
    assert data == {f"{TENCH}/{name}".encode() for name in names}


def test_non_ascii_names_become_safe_ids_and_utf8_urls(tmp_path: Path) -> None:
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


def test_unlistable_class_folder_is_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = opened(folders(tmp_path, f"{TENCH}/a.jpg", f"{GOLDFISH}/b.jpg"))
    (tmp_path / TENCH).rename(tmp_path / "gone")
    [rest] = source.candidates(TENCH)
    said = f"{tmp_path}/{TENCH} cannot be listed: No such file or directory"
    assert drive(source, rest) == Rejected("unlisted", detail=said)
    assert caplog.messages == [said]
    assert ids(source, GOLDFISH) == [f"{GOLDFISH}_b"]
