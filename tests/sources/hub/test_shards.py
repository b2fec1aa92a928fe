from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagenet_nk.collect.stage import collect
from imagenet_nk.errors import SourceError
from imagenet_nk.reasons import Rejected
from imagenet_nk.sources.contract import FetchedImage
from imagenet_nk.sources.hub.source import Hub
from sources.contract import drive, images
from sources.hub.helpers import fails, opened, written
from sources.hub_server import Hub as Server
from sources.shards import GOLDFISH, SHARK, TENCH, WNIDS, dealt, parquet, pictures, webdataset
from sources.tars import jpeg
from sources.test_remote_collected import job

BAD = {
    "truncated": (parquet(pictures(4))[:-20], "train.parquet cannot be read: "),
    "no parquet": (b"<html>sign in</html>", "train.parquet cannot be read: "),
    "no label": (parquet([], image=[b"x"], classes=[1]), "has no column label .*; it has: image, classes"),
    "no image": (parquet([], picture=[b"x"], label=[1]), "has no column image .*; it has: picture, label"),
    "image is a number": (parquet([], image=[7], label=[1]), "has no column image"),
    "label beyond": (parquet([("a.jpg", 3, b"x")]), "row 0: label 3 is not among the data set's 3 classes"),
    "labels null": (parquet([("a.jpg", None, b"x")] * 2), "none of the 2 images of split 'train' has a label, as in a"),  # type: ignore[list-item]
    "labels -1": (parquet([("a.jpg", -1, b"x")] * 3), "none of the 3 images .*; type source.split=validation"),
    "no names": (
        parquet([("a.jpg", 1, b"x")], None),
        "nothing names the class of label 1; .*sorted_labels=true",
    ),
    "words": (parquet([("a.jpg", 1, b"x")], ["tench", "goldfish"]), "names 2 classes by words"),
    "another order": (
        parquet(pictures(2), [GOLDFISH, TENCH, SHARK]),
        f"row 0: label 0 would be {GOLDFISH}, but the image is called {TENCH}_0.JPEG; the label column is in another",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_parquet_file_is_one_line(tmp_path: Path, case: str) -> None:
    data, wanted = BAD[case]
    written(tmp_path / "set", {"train.parquet": data})
    fails(Hub(str(tmp_path / "set")), tmp_path, wanted)


def test_invalid_tar_is_one_line(tmp_path: Path) -> None:
    written(tmp_path / "set", {"train.tar": b"<html>sign in</html>" * 100})
    fails(Hub(str(tmp_path / "set")), tmp_path, r"train\.tar is no tar")


def test_truncated_tar_gives_its_complete_samples(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = webdataset(pictures(3))
    written(tmp_path / "set", {"train.tar": whole[: len(whole) // 2]})
    source = opened(Hub(str(tmp_path / "set")), tmp_path)
    found = [image for wnid in WNIDS for image in images(source, wnid)]
    assert 0 < len(found) < 9
    assert {image.image_id: image.data for image in found}.items() <= {
        name.removesuffix(".JPEG"): data for name, _, data in pictures(3)
    }.items()
    assert "is damaged behind byte" in caplog.text


def test_json_labels_and_unlabelled_files_in_tars(tmp_path: Path) -> None:
    written(tmp_path / "set", {"train.tar": webdataset(pictures(2), label="json")})
    assert len(images(opened(Hub(str(tmp_path / "set")), tmp_path), GOLDFISH)) == 2


@given(
    st.sampled_from([("train.parquet", parquet(pictures(2))), ("train.tar", webdataset(pictures(2)))]),
    st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 255)), max_size=4),
    st.integers(0, 20_000) | st.none(),
)
@settings(deadline=None, max_examples=60)
def test_any_shard_gives_images_or_one_line(
    tmp_path_factory: pytest.TempPathFactory,
    shard: tuple[str, bytes],
    flips: list[tuple[int, int]],
    cut: int | None,
) -> None:
    folder = tmp_path_factory.getbasetemp()
    data = bytearray(shard[1])
    for at, byte in flips:
        data[at % len(data)] = byte
    written(folder, {shard[0]: bytes(data[:cut])})
    source = Hub(str(folder / shard[0]))
    try:
        opened(source, folder)
        for wnid in WNIDS:
            for candidate in source.candidates(wnid):
                assert isinstance(drive(source, candidate), FetchedImage | Rejected)
    except SourceError as error:
        assert "\n" not in str(error)  # noqa: PT017
    finally:
        source.close()


def test_labels_are_read_without_the_images(tmp_path: Path, served: Callable[..., Server]) -> None:
    heavy = [(name, label, os.urandom(100_000)) for name, label, _ in pictures(8)]
    server = served({f"train-{n}.parquet": parquet(hand, rows=3) for n, hand in enumerate(dealt(heavy, 2))})
    source = opened(Hub("some/set"), tmp_path)
    assert sum(1 for wnid in WNIDS for _ in source.candidates(wnid)) == 24
    labels_only = sum(server.fetched().values())
    assert labels_only < 300_000, "footers and label columns of 2.4 MB of images"
    found = drive(source, next(source.candidates(TENCH)))
    assert isinstance(found, FetchedImage)
    assert 300_000 < sum(server.fetched().values()) - labels_only < 450_000, "one row group of three images"
    for candidate in source.candidates(TENCH):
        drive(source, candidate)
    read = sum(server.fetched().values())
    for wnid in WNIDS:
        for candidate in source.candidates(wnid):
            drive(source, candidate)
    assert sum(server.fetched().values()) - read < 700_000, "rows of a row group that was read cost nothing"
    source.close()
    assert list((tmp_path / "index").iterdir()) == []


def test_images_without_names_are_called_by_shard_and_row(tmp_path: Path) -> None:
    written(tmp_path / "set", {"train/a.parquet": parquet(pictures(2), paths=False)})
    source = opened(Hub(str(tmp_path / "set")), tmp_path)
    assert {c.key for c in source.candidates(TENCH)} == {f"{TENCH}_train_a.parquet_{row}" for row in (0, 3)}


IMAGES = [(name, label, jpeg(n, 160)) for n, (name, label, _) in enumerate(pictures(5))]


_NAMES = {"class_label": {"names": dict(enumerate(WNIDS))}}


CARD = {"dataset_info": {"features": [{"name": "cls", "dtype": _NAMES}]}}


SETS = {"train.parquet": parquet(IMAGES, rows=5), "train.tar": webdataset(IMAGES)}


@pytest.mark.parametrize("name", list(SETS))
def test_damaged_images_are_rejected_without_fetching_them_again(
    tmp_path: Path, served: Callable[..., Server], name: str
) -> None:
    broken = [(image, label, b"no picture" * (n % 3) + data) for n, (image, label, data) in enumerate(IMAGES)]
    make = parquet if name.endswith("parquet") else webdataset
    server = served({name: make(broken)}, CARD)
    summary = collect(job(tmp_path / "set", Hub("some/set"), nk=None, wnids=WNIDS))
    assert (summary.kept, dict(summary.reasons)) == (5, {"not_image": 10})
    assert server.fetched()[name] < 3.5 * len(server.files[name]), "a row group twice, or each image once more"
