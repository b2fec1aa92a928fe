"""Every layout that people have, made small: each image must come out under its own class, by content."""

from __future__ import annotations

import gzip
import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from imagenet_nk.config import HttpConfig, Part
from imagenet_nk.config.sources import NumberOrder
from imagenet_nk.errors import SourceError
from imagenet_nk.reasons import Rejected
from imagenet_nk.sampling.draw_order import RandomOrder
from imagenet_nk.sources.contract import FetchedImage, SourceContext
from imagenet_nk.sources.local.source import Full
from sources.contract import drive
from sources.small_tars import tar_bytes, train_tar

TENCH, GOLDFISH, FOX = "n01440764", "n01443537", "n02119789"  # 0 and 1 by WNID; the fox is 1 of the devkit
WNIDS = [TENCH, GOLDFISH, FOX]


def content(wnid: str, count: int = 3, prefix: str = "") -> dict[str, bytes]:
    """Files of a class by name; the bytes say the class."""
    return {f"{prefix}{wnid}_{n}.JPEG": f"{wnid} {n}".encode() for n in range(count)}


def unnamed(wnid: str, count: int = 3) -> dict[str, bytes]:
    return {f"img{n}.jpg": f"{wnid} {n}".encode() for n in range(count)}


def in_folders(names: Mapping[str, str], around: str = "", below: str = "") -> dict[str, bytes]:
    """Images without names of their own in one folder a class: folder name to WNID."""
    return {f"{around}{f}/{below}{name}": data for f, wnid in names.items() for name, data in unnamed(wnid).items()}


def write(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def zip_bytes(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return buffer.getvalue()


def open_source(root: Path | list[Path], **options: object) -> Full:
    source = Full([str(one) for one in root] if isinstance(root, list) else str(root), **options)  # type: ignore[arg-type]
    base = root[0] if isinstance(root, list) else root
    source.open(WNIDS, SourceContext(base.parent / "index", HttpConfig(), RandomOrder(0)))
    return source


def by_class(source: Full) -> dict[str, list[bytes]]:
    """The content of all images of each class, sorted."""
    found = {}
    for wnid in WNIDS:
        read = [drive(source, candidate) for candidate in source.candidates(wnid)]
        assert all(isinstance(image, FetchedImage) for image in read), read
        found[wnid] = sorted(image.data for image in read if isinstance(image, FetchedImage))
    return found


EXPECTED = {wnid: sorted(content(wnid).values()) for wnid in WNIDS}
NAMED = {wnid: wnid for wnid in WNIDS}
WORDS = {"tench": TENCH, "Gold_fish": GOLDFISH, "kit fox, Vulpes macrotis": FOX}
ALL = {name: data for wnid in WNIDS for name, data in content(wnid).items()}
HUB = {name.replace(".", f"_{name[:9]}."): data for name, data in ALL.items()}
VAL = {f"ILSVRC2012_val_{n:08d}.JPEG": data for n, data in enumerate(ALL.values(), 1)}
VAL_WNID = {name: data[:9].decode() for name, data in VAL.items()}
SORTED = {"n01440764": 0, "n01443537": 1, "n02119789": 278}
KAGGLE = "ImageId,PredictionString\n" + "".join(f"{n[:-5]},{w} 1 2 3 4\n" for n, w in VAL_WNID.items())
TINY = "".join(f"{name}\t{wnid}\t0\t0\t62\t62\n" for name, wnid in VAL_WNID.items())
CAFFE = "".join(f"{name} {SORTED[wnid]}\n" for name, wnid in VAL_WNID.items())
FIFTYONE = {
    "classes": ["tench, Tinca tinca", "goldfish, Carassius auratus", "kit fox, Vulpes macrotis"],
    "labels": {name[:-5]: WNIDS.index(wnid) for name, wnid in VAL_WNID.items()},
}


def parts(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """An archive of two parts, with what macOS and its maker left in it."""
    other = {f"set/val/{TENCH}/no.JPEG": b"not of this part", f"__MACOSX/set/train/{TENCH}/._x.JPEG": b"mac"}
    return {f"set/train/{name[:9]}/{name}": data for name, data in files.items()} | other | {"set/notes.csv": b"x"}


TRAIN = {
    "any depth": in_folders(NAMED, "deep/down/in/here/"),
    "a part in several folders": in_folders({TENCH: TENCH}, "train.X1/")
    | in_folders({GOLDFISH: GOLDFISH}, "train.X2/", "images/")
    | in_folders({FOX: FOX}, "train.X4/")
    | in_folders({TENCH: FOX}, "val.X/"),
    "side by side": ALL,
    "side by side, deeper": {f"all/of/them/{name}": data for name, data in ALL.items()} | {"readme.txt": b"x"},
    "the hub's names": {f"data/{name}": data for name, data in HUB.items()},
    "words": in_folders({name.replace("Gold_fish", "goldfish"): wnid for name, wnid in WORDS.items()}, "train/"),
    "words, folders below": in_folders({"Tinca_tinca": TENCH, "goldfish": GOLDFISH, "kit_fox": FOX}, "", "images/"),
    "the hub's tars": {
        f"data/train_images_{n}.tar.gz": gzip.compress(tar_bytes(dict(list(HUB.items())[n::2]))) for n in range(2)
    },
    "FiftyOne": {f"data/{name}": data for name, data in VAL.items()} | {"labels.json": json.dumps(FIFTYONE).encode()},
}  # fmt: skip


@pytest.mark.parametrize("case", TRAIN)
def test_training_folders(tmp_path: Path, case: str) -> None:
    assert by_class(open_source(write(tmp_path / "root", TRAIN[case]))) == EXPECTED


ARCHIVES: dict[str, bytes] = {
    "imagenet-a.tar": tar_bytes(
        {f"imagenet-a/{n[:9]}/{n}": d for n, d in ALL.items()} | {"imagenet-a/README.txt": b"x"}
    ),
    "imagenette2.tgz": gzip.compress(tar_bytes(parts(ALL))),
    "set.zip": zip_bytes(parts(ALL)),
    "stored.zip": zip_bytes(parts(ALL), zipfile.ZIP_STORED),
    "train.zip": zip_bytes({f"{n[:9]}/{n}": d for n, d in ALL.items()}),
    "flat.tar.gz": gzip.compress(tar_bytes({f"./{name}": data for name, data in ALL.items()})),
    "train_images_0.tar.gz": gzip.compress(tar_bytes(HUB)),
    "words.zip": zip_bytes(in_folders({"tench": TENCH, "goldfish": GOLDFISH, "kit_fox": FOX})),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_one_archive_of_all_classes(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(ARCHIVES[name])
    assert by_class(open_source(tmp_path / name)) == EXPECTED


def test_ids_are_those_of_class_folders(tmp_path: Path) -> None:
    """So unpacking does not change what is drawn."""
    write(tmp_path / "folders", {f"{name[:9]}/{name}": data for name, data in ALL.items()})
    (tmp_path / "hub.tar.gz").write_bytes(ARCHIVES["train_images_0.tar.gz"])
    (tmp_path / "set.zip").write_bytes(ARCHIVES["set.zip"])
    sources = [open_source(tmp_path / name) for name in ("folders", "hub.tar.gz", "set.zip")]
    keys = [[c.key for wnid in WNIDS for c in source.candidates(wnid)] for source in sources]
    assert keys[0] == keys[1] == keys[2]


def test_a_gzip_is_unpacked_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    (tmp_path / "x.tgz").write_bytes(ARCHIVES["imagenette2.tgz"])
    for _ in range(2):
        assert by_class(open_source(tmp_path / "x.tgz")) == EXPECTED
    assert caplog.text.count("unpacking it into") == 1


def test_several_roots_are_one(tmp_path: Path) -> None:
    a = write(tmp_path / "a", {f"{TENCH}/x.jpg": b"1", f"{GOLDFISH}/y.jpg": b"2"})
    b = write(tmp_path / "b", {f"train/{TENCH}/x.jpg": b"3"})
    (tmp_path / "c.zip").write_bytes(zip_bytes({f"{FOX}/z.jpg": b"4"}))
    source = open_source([a, b, tmp_path / "c.zip"])
    assert by_class(source) == {TENCH: [b"1", b"3"], GOLDFISH: [b"2"], FOX: [b"4"]}
    assert {candidate.key for candidate in source.candidates(TENCH)} == {f"{TENCH}_x", f"{TENCH}_x=2"}


@pytest.mark.parametrize(
    ("order", "numbers"),
    [
        (NumberOrder.sorted, {"0": TENCH, "1": GOLDFISH, "278": FOX}),
        (NumberOrder.sorted, {"000": TENCH, "001": GOLDFISH, "278": FOX}),
        (NumberOrder.clsloc, {"1": FOX, "449": TENCH, "450": GOLDFISH}),
    ],
)
def test_numbered_folders_in_the_order_that_is_stated(
    tmp_path: Path, order: NumberOrder, numbers: dict[str, str]
) -> None:
    write(tmp_path / "root", in_folders(numbers, "imagenetv2/"))
    assert by_class(open_source(tmp_path / "root", order=order)) == EXPECTED
    (tmp_path / "x.zip").write_bytes(zip_bytes(in_folders(numbers)))
    assert by_class(open_source(tmp_path / "x.zip", order=order)) == EXPECTED


@pytest.mark.parametrize(
    ("folders", "order", "wanted"),
    [
        (("0", "1"), None, r"numbers its classes 0 to 1, which says no order; type source\.order=sorted .* or source"),
        (("0", "1"), NumberOrder.clsloc, r"but source\.order=clsloc counts 1 to 1000; type the other order"),
        (("1", "1000"), NumberOrder.sorted, r"but source\.order=sorted counts 0 to 999; type the other order"),
        (("1", "01"), NumberOrder.sorted, r"has a number twice, among 01, 1"),
    ],
)
def test_the_order_of_numbers_is_never_guessed(
    tmp_path: Path, folders: tuple[str, ...], order: NumberOrder | None, wanted: str
) -> None:
    fails(write(tmp_path / "root", in_folders(dict.fromkeys(folders, TENCH))), wanted, order=order)


VALIDATION = {
    "Kaggle": {f"ILSVRC/Data/CLS-LOC/val/{n}": d for n, d in VAL.items()} | {"LOC_val_solution.csv": KAGGLE.encode()},
    "Tiny ImageNet": {f"val/images/{n}": d for n, d in VAL.items()}
    | {"val/val_annotations.txt": TINY.encode(), f"train/{TENCH}/images/{TENCH}_0.JPEG": b"of the other part"},
    "nested by WNID": {f"val/{VAL_WNID[n]}/{n}": d for n, d in VAL.items()},
    "nested in blocks": {f"val/{n[-6]}/{n}": d for n, d in VAL.items()} | {"val/LOC_val_solution.csv": KAGGLE.encode()},
    "val.txt": {f"val/{n}": d for n, d in VAL.items()} | {"val.txt": CAFFE.encode()},
    "the hub's val_images": {
        "data/val_images.tar.gz": gzip.compress(tar_bytes({f"{n[:-5]}_{VAL_WNID[n]}.JPEG": d for n, d in VAL.items()}))
    },
    "FiftyOne": {f"validation/data/{n}": d for n, d in VAL.items()}
    | {"validation/labels.json": json.dumps(FIFTYONE).encode()},
    "deep": {f"here/val/{VAL_WNID[n]}/{n}": d for n, d in VAL.items()} | {f"here/train/{TENCH}/x.jpg": b"other"},
}  # fmt: skip


@pytest.mark.parametrize("case", VALIDATION)
def test_validation(tmp_path: Path, case: str) -> None:
    root = write(tmp_path / "root", VALIDATION[case])
    assert by_class(open_source(root, part=Part.val, order=NumberOrder.sorted)) == EXPECTED


def test_imagenet_zip(tmp_path: Path) -> None:
    """val.zip with val_map.txt beside it, as Swin Transformer reads it."""
    (tmp_path / "val.zip").write_bytes(zip_bytes(VAL, zipfile.ZIP_STORED))
    (tmp_path / "val_map.txt").write_text(CAFFE.replace(" ", "\t"))
    assert by_class(open_source(tmp_path / "val.zip", part=Part.val, order=NumberOrder.sorted)) == EXPECTED
    with pytest.raises(
        SourceError, match=r"val_map\.txt numbers its classes 0 to 278, which says no order; type source"
    ):
        open_source(tmp_path / "val.zip", part=Part.val)


def test_each_class_name_without_one_meaning_is_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = {"tench": TENCH, "goldfish": GOLDFISH, "kit fox": FOX, "crane": TENCH, "unicorn": TENCH}
    assert by_class(open_source(write(tmp_path / "root", in_folders(names)))) == EXPECTED
    assert "'crane' is n02012849 or n03126707; it is left out" in caplog.text
    assert "'unicorn' is no class of ImageNet; it is left out" in caplog.text


def test_images_that_a_table_names_and_that_are_not_there_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = dict(VALIDATION["Kaggle"])
    del files["ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000002.JPEG"]
    open_source(write(tmp_path / "root", files), part=Part.val)
    assert "1 image of its table are not there: ILSVRC2012_val_00000002" in caplog.text


# --- what cannot be read is one line


def fails(root: Path, wanted: str, **options: object) -> None:
    with pytest.raises(SourceError, match=wanted) as error:
        open_source(root, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({}, "it is empty; name the folder"),
        (
            {"a/b/c/x.txt": b"x"},
            r"it holds 3 folders \(a, a/b, a/b/c; 3 deep\) and 1 file \(1 \.txt\); name the folder",
        ),
        ({"x/imagenette2.tgz": b"x"}, r"type source\.root=.*/root/x/imagenette2\.tgz for that archive"),
        ({"data/train-0.parquet": b"x"}, r"type source=hub source\.dataset=.*/root for its \.parquet files"),
        (
            {"dataset_info.json": b"{}", "data-00000-of-00001.arrow": b"x"},
            r"source=hub source\.dataset=.* \.arrow files",
        ),
        ({"cats/x.jpg": b"x", "unicorns/y.jpg": b"x", "dwarfs/z.jpg": b"x"}, "nothing says the class of its images"),
        ({f"a/{TENCH}/x.jpg": b"1", f"b/{TENCH}/x.jpg": b"2"}, rf"has {TENCH} in several places, .*/root/a and .*=\["),
        ({f"a/{TENCH}_1.jpg": b"1", f"b/{TENCH}_1.jpg": b"2"}, "in several places"),
    ],
)
def test_a_folder_of_no_layout_says_what_it_has_and_what_to_type(
    tmp_path: Path, files: dict[str, bytes], wanted: str
) -> None:
    (tmp_path / "root").mkdir()
    fails(write(tmp_path / "root", files), wanted)


def encrypted() -> bytes:
    data = bytearray(zip_bytes({f"{TENCH}/x.jpg": b"secret"}))
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + flags] |= 1
    return bytes(data)


def bomb() -> bytes:
    """One entry that claims two gigabytes."""
    data = bytearray(zip_bytes({f"{TENCH}/x.jpg": b"x" * 100}))
    for signature, size in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        at = data.index(signature) + size
        data[at : at + 4] = (2**31 - 1).to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("name", "data", "wanted"),
    [
        ("a.zip", encrypted(), r"a\.zip is encrypted; unpack it with its password"),
        ("a.zip", bomb(), r"a\.zip has \d+ bytes and claims to hold 2147483647: a zip bomb"),
        ("a.zip", b"PK\3\4 and so on", r"a\.zip is no zip that can be read"),
        ("a.zip", zip_bytes({"a.txt": b"x"}), r"holds no <wnid>\.tar, and no images .*; it has 1 file, such as a\.txt"),
        ("a.tgz", gzip.compress(b"no tar" * 500), r"a\.tgz is no tar"),
        ("a.tgz", b"\x1f\x8b\x08 and so on", r"a\.tgz is damaged"),
        ("a.tgz", gzip.compress(tar_bytes({"a.txt": b"x"})), r"a\.tgz holds no <wnid>\.tar, .*; it has 1 file,"),
        ("a.tar", tar_bytes(VAL), r"holds validation images, no training images; type source\.part=val"),
        ("a.tar", tar_bytes({f"a/{TENCH}/x.jpg": b"1", f"b/{TENCH}/x.jpg": b"2"}), "in several places"),
    ],
)  # fmt: skip
def test_an_archive_that_cannot_be_used_is_one_line(tmp_path: Path, name: str, data: bytes, wanted: str) -> None:
    (tmp_path / name).write_bytes(data)
    fails(tmp_path / name, wanted)


def test_a_gzip_bomb_is_one_line_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagenet_nk.sources.local.packed._FREE", 1 << 16)
    (tmp_path / "a.tgz").write_bytes(gzip.compress(bytes(1 << 20)))
    fails(tmp_path / "a.tgz", r"a\.tgz unpacks to more than \d+ bytes: a gzip bomb")
    assert not [*(tmp_path / "index").iterdir()]


def test_a_truncated_tgz_gives_the_images_before_the_break(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    noise = {f"{TENCH}/{n}.jpg": os.urandom(3000) for n in range(9)}
    packed = gzip.compress(tar_bytes(noise))
    (tmp_path / "a.tgz").write_bytes(packed[: len(packed) // 2])
    source = open_source(tmp_path / "a.tgz")
    *found, rest = source.candidates(TENCH)
    assert 1 < len(found) < 9
    assert {r.data for c in found if isinstance(r := drive(source, c), FetchedImage)} < set(noise.values())
    assert isinstance(verdict := drive(source, rest), Rejected)
    assert verdict.reason == "unlisted"
    assert "a.tgz is damaged" in caplog.text


def test_damaged_entries_of_a_zip_are_rejected_one_by_one(tmp_path: Path) -> None:
    data = bytearray(zip_bytes({f"{TENCH}/{n}.jpg": b"image %d " % n * 30 for n in range(3)}, zipfile.ZIP_STORED))
    data[data.index(b"image 1 ")] ^= 1
    (tmp_path / "a.zip").write_bytes(data)
    source = open_source(tmp_path / "a.zip")
    read = {c.key[-1]: drive(source, c) for c in source.candidates(TENCH)}
    assert [isinstance(read[n], FetchedImage) for n in "012"] == [True, False, True]
    assert "the entry is damaged" in str(read["1"])


def test_pipes_in_the_place_of_anything_do_not_hang(tmp_path: Path) -> None:
    root = write(tmp_path / "root", {f"x/{TENCH}_1.jpg": b"1"})
    for name in (f"x/{TENCH}_2.jpg", "labels.json", "train.txt", "ILSVRC2012_img_train.tar", "train_images_0.tar.gz"):
        os.mkfifo(root / name)
    (root / f"x/{TENCH}_3.jpg").mkdir()
    assert by_class(open_source(root))[TENCH] == [b"1"]
    os.mkfifo(tmp_path / "pipe.tar")
    fails(tmp_path / "pipe.tar", "is neither a file nor a folder")


def test_the_official_tar_is_still_read_by_class(tmp_path: Path) -> None:
    tar = train_tar(tmp_path / "t.tar", {wnid: content(wnid) for wnid in WNIDS})
    assert by_class(open_source(tar)) == EXPECTED
