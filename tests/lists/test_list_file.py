from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagenet_nk.errors import ListError
from imagenet_nk.lists.list_file import Entry, read_list, resolve, sha256, write_list

SEPARATORS = [" ", ","]
AWKWARD = [
    "a b.jpg",
    " lead.jpg",
    "trail .jpg ",
    "a,b.jpg",
    'say "x".jpg',
    "3 4",
    "ü/雪.png",
    "path,label",
    "\u2028.gif",
]

paths = st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda path: path[0] != "\ufeff"
)
entries = st.builds(Entry, paths | st.sampled_from(AWKWARD), st.integers(0, 999_999_999))


@pytest.mark.parametrize("separator", SEPARATORS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(expected=st.lists(entries, min_size=1, max_size=20))
def test_written_list_is_read_back(expected: list[Entry], separator: str, tmp_path: Path) -> None:
    write_list(tmp_path / "eval.txt", expected, separator)
    assert read_list(tmp_path / "eval.txt") == expected


def test_both_forms_have_the_documented_bytes(tmp_path: Path) -> None:
    expected = [Entry("images/n01440764/a b.jpg", 0), Entry('images/n01443537/c,"d".png', 12)]
    write_list(tmp_path / "space.txt", expected)
    write_list(tmp_path / "comma.txt", expected, ",")
    assert (tmp_path / "space.txt").read_bytes() == (b'images/n01440764/a b.jpg 0\nimages/n01443537/c,"d".png 12\n')
    assert (tmp_path / "comma.txt").read_bytes() == (
        b'path,label\nimages/n01440764/a b.jpg,0\n"images/n01443537/c,""d"".png",12\n'
    )


@pytest.mark.parametrize("text", ["a.jpg 1\r\nb.jpg 2\r\n", "a.jpg 1\nb.jpg 2", "\ufeffa.jpg 1\nb.jpg 2\n"])
@pytest.mark.parametrize("comma", [False, True])
def test_list_saved_by_a_windows_editor_is_read(text: str, comma: bool, tmp_path: Path) -> None:
    if comma:
        bom, body = text[: text.startswith("\ufeff")], text.removeprefix("\ufeff")
        text = f"{bom}path,label\n" + body.replace(" ", ",")
    (tmp_path / "eval.txt").write_bytes(text.encode())
    assert read_list(tmp_path / "eval.txt") == [Entry("a.jpg", 1), Entry("b.jpg", 2)]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a.jpg 0\nb.jpg\n", 2, "no label in 'b.jpg'"),
        ("a.jpg 0\n\nb.jpg 1\n", 2, "the line is blank"),
        ("a.jpg zero\n", 1, "label 'zero' is not a whole number"),
        ("a.jpg 1.0\n", 1, "label '1.0'"),
        ("a.jpg 0\nb.jpg -1\n", 2, "label '-1'"),
        ("a.jpg +1\n", 1, "label '+1'"),
        ("a.jpg 1_0\n", 1, "label '1_0'"),
        ("a.jpg ²\n", 1, "label '²'"),
        ("a.jpg 0 \n", 1, "label ''"),
        ("a.jpg " + "9" * 5000 + "\n", 1, "is not a whole number from 0 to 999999999"),
        (" 0\n", 1, "the path '' cannot stand"),
        ("a\0.jpg 0\n", 1, "cannot stand in a list"),
        ("a.jpg,0\n", 1, "no label in 'a.jpg,0'"),
        ("path,label\na.jpg,0\nb.jpg 1\n", 3, "1 columns"),
        ("path,label\na.jpg,0,x\n", 2, "3 columns"),
        ("path,label\n\n", 2, "0 columns"),
        ("path,label\na.jpg,x\n", 2, "label 'x'"),
        ('path,label\n"a.jpg,0\n', 2, "not a comma row"),
        ("path,label\n" + "a" * 200_000 + ",0\n", 2, "not a comma row"),
    ],
)
def test_bad_line_is_named(text: str, line: int, message: str, tmp_path: Path) -> None:
    file = tmp_path / "eval.txt"
    file.write_bytes(text.encode())
    with pytest.raises(ListError) as caught:
        read_list(file)
    assert str(caught.value).startswith(f"{file}:{line}: ")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 300 + len(str(file))


@pytest.mark.parametrize(
    ("data", "message"), [(b"", "has no entry"), (b"path,label\n", "has no entry"), (b"\xff.jpg 0\n", "not UTF-8")]
)
def test_bad_file_is_named(data: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "eval.txt"
    file.write_bytes(data)
    with pytest.raises(ListError, match=message) as caught:
        read_list(file)
    assert str(file) in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    for reader in (read_list, sha256):
        with pytest.raises(ListError, match=r"cannot read the list .*no\.txt: No such file"):
            reader(tmp_path / "no.txt")


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize(
    "bad", [Entry("a\nb.jpg", 0), Entry("a\rb.jpg", 0), Entry("", 0), Entry("a.jpg", -1), Entry("\udcff.jpg", 0)]
)
def test_bad_entry_leaves_the_old_file_unchanged(bad: Entry, separator: str, tmp_path: Path) -> None:
    file = tmp_path / "eval.txt"
    write_list(file, [Entry("old.jpg", 3)], separator)
    before = file.read_bytes()
    with pytest.raises(ListError):
        write_list(file, [Entry("new.jpg", 4), bad], separator)
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["eval.txt"]  # noqa: PTH208


def test_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "none").write_text("")
    with pytest.raises(ListError, match=r"cannot write .*eval\.txt: (File exists|Not a directory)"):
        write_list(tmp_path / "none" / "eval.txt", [])


def test_paths_are_relative_to_the_list_file(tmp_path: Path) -> None:
    assert resolve(tmp_path / "eval.txt", Entry("images/a b.jpg", 0)) == tmp_path / "images" / "a b.jpg"
    assert resolve("eval.txt", Entry("a.jpg", 0)) == Path("a.jpg")
    assert resolve(tmp_path / "eval.txt", Entry("/data/a.jpg", 0)) == Path("/data/a.jpg")


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    write_list(tmp_path / "eval.txt", [Entry("a.jpg", 0)])
    assert sha256(tmp_path / "eval.txt") == hashlib.sha256(b"a.jpg 0\n").hexdigest()


@pytest.mark.parametrize("separator", SEPARATORS)
def test_entries_may_come_from_a_generator(separator: str, tmp_path: Path) -> None:
    expected = (Entry(f"images/n{label:08d}/x.jpg", label) for label in range(50_000))
    write_list(tmp_path / "eval.txt", expected, separator)
    assert read_list(tmp_path / "eval.txt")[-1] == Entry("images/n00049999/x.jpg", 49_999)
