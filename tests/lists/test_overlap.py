"""Images that two lists have in common."""

from __future__ import annotations

from pathlib import Path

from imagenet_nk.lists.overlap import find_overlap


def write(folder: Path, **contents: bytes) -> list[Path]:
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


def test_the_same_file_under_another_spelling_overlaps(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (image,) = write(tmp_path, a=b"1")
    assert find_overlap([tmp_path / "sub" / ".." / "a"], [image]) == [tmp_path / "sub" / ".." / "a"]


def test_a_copy_overlaps_and_a_file_of_the_same_size_does_not(tmp_path: Path) -> None:
    a, b, copy, other = write(tmp_path, a=b"one", b=b"four", copy=b"one", other=b"two")
    assert find_overlap([copy, other], [a, b]) == [copy]


def test_a_missing_file_overlaps_with_nothing(tmp_path: Path) -> None:
    (image,) = write(tmp_path, a=b"1")
    assert find_overlap([tmp_path / "missing"], [image, tmp_path / "gone"]) == []
