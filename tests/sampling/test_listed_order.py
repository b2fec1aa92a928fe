from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_nk.errors import ListError
from imagenet_nk.image_ids import image_id
from imagenet_nk.sampling.listed_order import ListedOrder
from imagenet_nk.sampling.name_lists import parse, parse_line
from imagenet_nk.sources.contract import candidates_in_order

LOAFER, MITTEN = "n04235860", "n04239074"


def listed(tmp_path: Path, text: str | bytes) -> ListedOrder:
    path = tmp_path / "list.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return ListedOrder(0, str(path))


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"n04235860_14959.JPEG\n", "n04235860_14959"),
        (b"n04235860_14959", "n04235860_14959"),
        (b"n04235860_14959.jpg\r\n", "n04235860_14959"),
        (b"train/n04235860/n04235860_14959.JPEG", "n04235860_14959"),
        (b"C:\\data\\n04235860\\n04235860_14959.JPEG", "n04235860_14959"),
        (b"n04235860/14959.png", "n04235860_14959"),
        (b"images/n04235860/n04235860_14959.jpg 800\n", "n04235860_14959"),
        (b"images/n04235860/n04235860_14959.jpg,800\n", "n04235860_14959"),
        (b"n04235860/my photo 3.jpg 800", "n04235860_my=20photo=203"),
        (b"n04235860_my=20photo=203", "n04235860_my=20photo=203"),
        (b"n04235860_a=2", "n04235860_a=2"),
        (b"n04235860_a.b", "n04235860_a.b"),
        (b"n04235860/n04235860_1\t3", "n04235860_1"),
        (b"n04235860_53652_n04235860.JPEG", "n04235860_53652"),
        (b"ILSVRC2012_val_00000001.JPEG n04235860", "n04235860_ILSVRC2012_val_00000001"),
        (b"val\\n04235860\\ILSVRC2012_val_00000001.JPEG", "n04235860_ILSVRC2012_val_00000001"),
        (b"ILSVRC2012_val_00000001_n04235860", "n04235860_ILSVRC2012_val_00000001"),
    ],
)
def test_every_form_of_a_list_line_is_parsed(line: bytes, name: str) -> None:
    assert parse_line(line) == (LOAFER, name)


@pytest.mark.parametrize("line", [b"", b"\n", b"  \r\n", b"# the 1 % subset"])
def test_blank_lines_and_comments_are_ignored(line: bytes) -> None:
    assert parse_line(line) is None


def test_order_is_that_of_the_lines_of_a_class(tmp_path: Path) -> None:
    sampling = listed(tmp_path, "n04235860_9.JPEG\nn04239074_1.JPEG\nn04235860_3.JPEG\n\nn04235860_5.JPEG\n")
    assert list(sampling.listed(LOAFER)) == ["n04235860_9", "n04235860_3", "n04235860_5"]
    assert sampling.arrange(LOAFER, ["n04235860_3", "n04235860_4", "n04235860_9"]) == ["n04235860_9", "n04235860_3"]
    assert list(sampling.listed("n01440764")) == []


def test_listed_image_absent_from_the_source_is_a_candidate_without_url(tmp_path: Path) -> None:
    sampling = listed(tmp_path, "n04235860_9.JPEG\nn04235860_3.JPEG\n")
    candidates = list(candidates_in_order(sampling, LOAFER, {"n04235860_3": "/here", "n04235860_4": "/there"}))
    assert [(candidate.key, candidate.url) for candidate in candidates] == [
        ("n04235860_9", ""),
        ("n04235860_3", "/here"),
    ]


def test_identity_is_the_content_of_the_list(tmp_path: Path) -> None:
    one = listed(tmp_path, "n04235860_9.JPEG\nn04239074_1.JPEG\n").identity
    assert one == listed(tmp_path, "# same\nn04239074_1.jpg\na/n04235860_9").identity
    assert one != listed(tmp_path, "n04235860_9.JPEG\nn04239074_2.JPEG\n").identity


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("n04235860_9.JPEG\ncat.jpg\n", "line 2: 'cat.jpg' names no image of a class; wanted is"),
        ("n04235860_9.JPEG\n\nb/n04235860_9.jpg\n", "line 3: names n04235860_9 again, after line 1; leave one out"),
        (b"n04235860_\xe9.JPEG\n", "line 1: is not UTF-8 text"),
        ("n04235860_9.JPEG\n".encode("utf-16"), "is UTF-16 text; a list is UTF-8 text"),
        ("n04235860_9.JPEG\n".encode("utf-16-le"), "is UTF-16 text; a list is UTF-8 text"),
        (b"PAR1 and so on", "is a parquet file; a list is UTF-8 text"),
        (b"n04235860_\x00.JPEG\n", "line 1: holds control characters"),
        (b"n04235860_1\nn04235860_" + b"9" * 10_000_000, "line 2: is longer than 4096 bytes"),
        (b"n042358601234.JPEG", "line 1: .* names no image of a class"),
        (b"n04235860/.jpg", "line 1: .* names no image of a class"),
        (b"\n# nothing\n", "is empty; it names one image a line"),
        (b"", "is empty; it names one image a line"),
    ],
)
def test_bad_list_is_one_line_with_its_number(tmp_path: Path, text: str | bytes, wanted: str) -> None:
    with pytest.raises(ListError, match=wanted) as error:
        listed(tmp_path, text)
    assert "\n" not in str(error.value)


def test_missing_list_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ListError, match=r"missing\.txt cannot be read: No such file"):
        ListedOrder(0, str(tmp_path / "missing.txt"))
    with pytest.raises(ListError, match="cannot be read: Is a directory"):
        ListedOrder(0, str(tmp_path))


@given(
    st.lists(st.binary(max_size=60) | st.from_regex(rb"(n0[0-9]{7}/)?n0[0-9]{7}_[ -~]{0,9}\.JPEG\n", fullmatch=True))
)
def test_any_bytes_are_ids_or_one_clear_line(lines: list[bytes]) -> None:
    try:
        listed = parse(lines, "list.txt")
    except ListError as error:
        said = str(error)
        listed = {}
    else:
        said = "list.txt, line "
    assert said.startswith("list.txt, line ")
    assert said.isprintable()
    for wnid, names in listed.items():
        assert len(set(names)) == len(names)
        assert all(name.startswith(wnid) and image_id(wnid, name).isascii() for name in names)


VAL = {"ILSVRC2012_val_00000001": LOAFER, "ILSVRC2012_val_00000002": MITTEN, "ILSVRC2012_val_00000003": LOAFER}
FORMS = {
    "bare stems": f"{LOAFER}_7\n{MITTEN}_2\n",
    "file names": f"{LOAFER}_7.JPEG\r\n{MITTEN}_2.jpeg\r\n",
    "byte order mark": f"\ufeff{LOAFER}_7.JPEG\n{MITTEN}_2.JPEG",
    "caffe, mmpretrain": f"{LOAFER}/{LOAFER}_7.JPEG 630\n{MITTEN}/{MITTEN}_2.JPEG 658\n",
    "blanks": f"{LOAFER}_7.JPEG   630\n{MITTEN}_2.JPEG   658\n",
    "tab": f"{LOAFER}_7.JPEG\t630\n{MITTEN}_2.JPEG\t658\n",
    "comma": f"train/{LOAFER}_7.JPEG,630\ntrain/{MITTEN}_2.JPEG, 658\n",
    "WNID behind": f"{LOAFER}_7.JPEG,{LOAFER}\n{MITTEN}_2.JPEG,{MITTEN}\n",
    "windows": f"D:\\i m\\{LOAFER}\\{LOAFER}_7.JPEG\t630\r\nD:\\i m\\{MITTEN}\\{MITTEN}_2.JPEG\t658\r\n",
    "train_cls.txt": f"{LOAFER}/{LOAFER}_7 1\n{MITTEN}/{MITTEN}_2 1301\n",
    "LOC_train_solution.csv": f"ImageId,PredictionString\n{LOAFER}_7,{LOAFER} 1 2 3 4 {LOAFER} 2 3 4 5 \n"
    f"{MITTEN}_2,{MITTEN} 85 1 499 272 \n",
    "path,label": f'path,label\n"images/{LOAFER}/{LOAFER}_7.jpg",630\nimages/{MITTEN}/{MITTEN}_2.jpg,658\n',
    "filename,label": f"filename,label\n{LOAFER}_7.JPEG,loafer\n{MITTEN}_2.JPEG,mitten\n",
    "header with blanks": f"# mine\n\nfilename label\n{LOAFER}_7.JPEG 630\n{MITTEN}_2.JPEG 658\n",
    "label first": f"label,wnid,path\n630,{LOAFER},{LOAFER}/7.JPEG\n658,{MITTEN},{MITTEN}/2.JPEG\n",
    "one column": f"file_name\n{LOAFER}_7.JPEG\n{MITTEN}_2.JPEG\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_that_people_have_names_the_same_images(tmp_path: Path, form: str) -> None:
    sampling = listed(tmp_path, FORMS[form])
    assert {wnid: list(sampling.listed(wnid)) for wnid in (LOAFER, MITTEN)} == {
        LOAFER: [f"{LOAFER}_7"],
        MITTEN: [f"{MITTEN}_2"],
    }


@pytest.mark.parametrize(
    "text",
    [
        "ILSVRC2012_val_00000003.JPEG\nILSVRC2012_val_00000002.JPEG\nILSVRC2012_val_00000001.JPEG\n",
        "file_name\nval/ILSVRC2012_val_00000003.JPEG\nILSVRC2012_val_00000002\nILSVRC2012_val_00000001\n",
        "ILSVRC2012_val_00000003.JPEG 630\nILSVRC2012_val_00000002.JPEG 658\nILSVRC2012_val_00000001.JPEG 630\n",
        "ILSVRC2012_val_00000003 1\nILSVRC2012_val_00000002 2\nILSVRC2012_val_00000001 3\n",
        (
            "ImageId,PredictionString\nILSVRC2012_val_00000003,n04235860 1 2 3 4 \n"
            "ILSVRC2012_val_00000002,n04239074 1 1 2 2 \nILSVRC2012_val_00000001,n04235860 1 2 3 4 "
        ),
        (
            "n04235860/ILSVRC2012_val_00000003.JPEG\nn04239074/ILSVRC2012_val_00000002.JPEG\n"
            "n04235860/ILSVRC2012_val_00000001.JPEG\n"
        ),
    ],
)
def test_validation_name_is_an_image_of_its_class(text: str) -> None:
    assert parse(text.encode().splitlines(), "val.txt", lambda: VAL) == {
        LOAFER: [f"{LOAFER}_ILSVRC2012_val_00000003", f"{LOAFER}_ILSVRC2012_val_00000001"],
        MITTEN: [f"{MITTEN}_ILSVRC2012_val_00000002"],
    }


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"{LOAFER}_1.JPEG {LOAFER}_2.JPEG\n", "line 1: .* names no image of a class"),
        (f"{LOAFER}_1.JPEG, {LOAFER}_2.JPEG\n", "line 1: .* is no label"),
        (f"{LOAFER}/{LOAFER}_1.JPEG {LOAFER}/{LOAFER}_2.JPEG\n", "line 1: .* names no image of a class"),
        (f"{LOAFER}_1.JPEG 630 0.5\n", "line 1: .* names no image of a class"),
        (f"{LOAFER}_1.JPEG 630\n{LOAFER}_2.JPEG\n", "line 2: .* is not of the form that the list begins with"),
        (f"{LOAFER}_1.JPEG\n{LOAFER}_2.JPEG 630\n", "line 2: .* is not of the form that the list begins with"),
        (f"{LOAFER}_1.JPEG,630\n{LOAFER}_2.JPEG 630\n", "line 2: .* is not of the form that the list begins with"),
        (f"path,label\n{LOAFER}_1.JPEG\n", r"line 2: .* \(2 fields with commas between a line\)"),
        (f"file_name\n{LOAFER}_1.JPEG,3\n", r"line 2: .* \(one name a line\)"),
        ("label,wnid\n", "line 1: is a header without a column of file names"),
        (f"{MITTEN}/{LOAFER}_1.JPEG\n", f"line 1: .* is of {MITTEN} and of {LOAFER}"),
        (f"{LOAFER}_1.JPEG {MITTEN}\n", f"line 1: .* is of {LOAFER} and of {MITTEN}"),
        (f"{LOAFER}_1.JPEG 5\n{LOAFER}_2.JPEG 6\n", f"line 2: {LOAFER} has label 6 here and 5 on line 1"),
        (f"{LOAFER}_1.JPEG 5\n{MITTEN}_2.JPEG 5\n", f"line 2: label 5 is {MITTEN} here and {LOAFER} on line 1"),
        (f"{LOAFER}_1 1\n{LOAFER}_2 2\n", f"line 2: {LOAFER} has label 2 here and 1 on line 1"),
        (f"{LOAFER}_1.JPEG 5\n{LOAFER}_1.JPEG 6\n", f"line 2: {LOAFER}_1 has label 6 here and 5 on line 1"),
        ("ILSVRC2012_val_00000001.JPEG 5\nILSVRC2012_val_00000003.JPEG 6\n", f"line 2: {LOAFER} has label 6 here"),
        (f"{LOAFER}/ILSVRC2012_val_00000001\n{MITTEN}/ILSVRC2012_val_00000001\n", f"line 2: .* of {MITTEN} here and"),
        ("ILSVRC2012_val_00050001.JPEG\n", "line 1: ILSVRC2012_val_00050001 is none of the 3 validation images"),
        ("ILSVRC2012_test_00000001.JPEG\n", "line 1: ILSVRC2012_test_00000001 is a test image"),
        (f"{LOAFER}\n{MITTEN}\n", "line 1: n04235860 is a class, not an image; .* classes.wnids=FILE"),
    ],
)
def test_what_contradicts_itself_is_refused_with_its_line(text: str, wanted: str) -> None:
    with pytest.raises(ListError, match=wanted) as error:
        parse(text.encode().splitlines(), "list.txt", lambda: VAL)
    assert "\n" not in str(error.value)


@pytest.mark.real
@pytest.mark.parametrize(("name", "images"), [("1imgs_class", 1000), ("5imgs_class", 5000), ("1percent", 12811)])
def test_published_lists_are_parsed(shared: Path, name: str, images: int) -> None:
    with (shared / "data" / "lists" / f"{name}.txt").open("rb") as lines:
        listed = parse(lines, name)
    assert len(listed) == 1000
    assert sum(map(len, listed.values())) == images
