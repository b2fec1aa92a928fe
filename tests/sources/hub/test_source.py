from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from imagenet_nk.collect.stage import collect
from imagenet_nk.errors import SourceError
from imagenet_nk.reasons import Rejected
from imagenet_nk.sources.contract import FetchedImage
from imagenet_nk.sources.hub.source import Hub
from sources.contract import Listed as ListedIds
from sources.contract import SourceContract, drive, images
from sources.hub.helpers import PARQUET, TARS, drawn, opened, written
from sources.hub_server import Hub as Server
from sources.shards import GOLDFISH, SHARK, TENCH, WNIDS, dealt, parquet, pictures, webdataset
from sources.small_tars import tar_bytes
from sources.test_remote_collected import job
from sources.web import Answer


class TestParquetOnTheHub(SourceContract):
    ids_known = False  # in order of drawn shards first

    @pytest.fixture
    def make(self, served: Callable[..., Server]) -> Callable[[], Hub]:
        served(PARQUET)
        return lambda: Hub("some/set")

    @pytest.fixture
    def wnids(self) -> list[str]:
        return [TENCH, GOLDFISH, SHARK]


class TestParquetHere(TestParquetOnTheHub):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[[], Hub]:
        written(tmp_path / "set", PARQUET)
        return lambda: Hub(str(tmp_path / "set"))


class TestTarsHere(TestParquetOnTheHub):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[[], Hub]:
        written(tmp_path / "set", TARS)
        return lambda: Hub(str(tmp_path / "set"))


class TestTarsOnTheHub(TestParquetOnTheHub):
    @pytest.fixture
    def make(self, served: Callable[..., Server]) -> Callable[[], Hub]:
        served(TARS)
        return lambda: Hub("some/set")

    def test_listed_images_come_in_the_order_of_the_list(self, make, wnids, site) -> None:
        with pytest.raises(SourceError, match="sampling=list would fetch them all; take a parquet data set"):
            make().open(wnids, site(ListedIds({TENCH: [f"{TENCH}_1"]})))


def test_parquet_and_tars_local_and_remote_give_the_same_images(tmp_path: Path, served: Callable[..., Server]) -> None:
    served(PARQUET)
    sources = [Hub("some/set")]
    for n, files in enumerate((PARQUET, TARS)):
        sources.append(Hub(str(written(tmp_path / str(n), files))))
    for n, source in enumerate(sources):
        opened(source, tmp_path / f"i{n}")
        assert {found.image_id: found.data for wnid in WNIDS for found in images(source, wnid)} == {
            name.removesuffix(".JPEG"): data for name, _, data in pictures(20)
        }
        source.close()


def test_one_file_is_a_data_set(tmp_path: Path) -> None:
    written(tmp_path, {"mine.parquet": parquet(pictures(2))})
    assert len(images(opened(Hub(str(tmp_path / "mine.parquet")), tmp_path), SHARK)) == 2


def test_absent_listed_image_is_missing(tmp_path: Path) -> None:
    written(tmp_path / "set", PARQUET)
    wanted = {TENCH: [f"{TENCH}_3", f"{TENCH}_99", f"{TENCH}_1"]}
    source = opened(Hub(str(tmp_path / "set")), tmp_path, ListedIds(wanted))
    results = [drive(source, candidate) for candidate in source.candidates(TENCH)]
    assert [r.reason if isinstance(r, Rejected) else r.image_id for r in results] == [
        f"{TENCH}_3",
        "missing",
        f"{TENCH}_1",
    ]


@pytest.mark.parametrize("here", [True, False])
def test_class_names_of_the_card_tell_labels(tmp_path: Path, served: Callable[..., Server], here: bool) -> None:
    feature = {"name": "label", "dtype": {"class_label": {"names": {"0": SHARK, "1": TENCH}}}}
    card = {"dataset_info": {"features": [feature], "splits": []}}
    readme = f"---\n{json.dumps(card)}\n---\n# A set\n".encode()
    files = {"train.tar": webdataset([("a.jpg", 0, b"shark"), ("b.jpg", 1, b"tench")]), "README.md": readme}
    served(files).card = card
    source = opened(Hub(str(written(tmp_path / "set", files)) if here else "some/set"), tmp_path)
    assert [found.data for found in images(source, TENCH)] == [b"tench"]
    assert [found.data for found in images(source, SHARK)] == [b"shark"]


@pytest.mark.parametrize("name", ["train.parquet", "train.tar"])
@pytest.mark.parametrize("answer", [Answer(404), Answer(503), Answer(200, b"<html>sign in</html>")])
def test_hub_that_fails_in_the_middle_rejects_no_image(
    tmp_path: Path, served: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, name: str, answer: Answer
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    make = parquet if name.endswith("parquet") else webdataset
    server = served({name: make(pictures(2))})
    source = opened(Hub("some/set"), tmp_path)
    candidate = next(iter(source.candidates(TENCH)))
    shutil.rmtree(tmp_path / "index", ignore_errors=True)
    honest, server.web.answer = server.web.answer, lambda *_: answer  # type: ignore[method-assign]
    with pytest.raises(SourceError, match="no image is marked as failed") as error:
        drive(source, candidate)
    assert "\n" not in str(error.value)
    server.web.answer = honest  # type: ignore[method-assign]
    assert isinstance(drive(source, candidate), FetchedImage)


class TestAShardThatBreaksOff:
    """A webdataset tar without its end: of which classes there is more, none knows."""

    FILES: ClassVar = {
        "README.md": b"---\ndataset_info:\n  features:\n  - name: cls\n    dtype:\n      class_label:\n"
        b"        names:\n          '0': n01440764\n          '1': n01443537\n          '2': n01484850\n---\n",
        **{f"in-train-{n:04d}.tar": webdataset(hand) for n, hand in enumerate(dealt(drawn(6), 2))},
    }

    def at(self, tmp_path: Path, cut: int) -> Path:
        folder = written(tmp_path / "set", self.FILES)
        shard = folder / "in-train-0001.tar"
        shard.write_bytes(shard.read_bytes()[:cut])
        return folder

    def test_classes_of_a_damaged_source_are_incomplete_until_repair(self, tmp_path: Path) -> None:
        folder = self.at(tmp_path, 9000)
        one = job(tmp_path / "kept", Hub(str(folder)), nk=None, wnids=WNIDS)
        summary = collect(one)
        assert 9 < summary.kept < 18
        assert list(summary.short) == sorted(WNIDS)
        assert summary.reasons == {"unlisted": 3}
        assert collect(replace(one, nk=3, fingerprint="3 of each")).short == (), "behind what is wanted"
        written(tmp_path / "set", self.FILES)
        summary = collect(one)
        assert (summary.kept, summary.short) == (18, ())

    def test_sample_without_its_label_is_skipped(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        pictures = {"a": ("jpg", "cls"), "b": ("jpg", "cls")}  # the label behind the picture
        members = {
            f"{TENCH}_{key}.{ext}": b"0" * 5 if ext == "jpg" else b"0" for key in pictures for ext in pictures[key]
        }
        data = tar_bytes(members)
        folder = written(tmp_path / "set", {"README.md": self.FILES["README.md"], "train.tar": data[: 3 * 1024 + 512]})
        source = opened(Hub(str(folder)), tmp_path)
        assert [candidate.key for candidate in source.candidates(TENCH)] == [
            f"{TENCH}_train.tar_{TENCH}_a",
            f"{TENCH}=rest",
        ]
        assert "is damaged behind byte" in caplog.text
