from __future__ import annotations

import json
import logging.handlers
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagenet_nk.collect.stage import collect
from imagenet_nk.config import HttpConfig
from imagenet_nk.errors import SourceError
from imagenet_nk.reasons import Rejected
from imagenet_nk.sampling.draw_order import RandomOrder, Sampling
from imagenet_nk.sources.contract import FetchedImage, SourceContext
from imagenet_nk.sources.hub.files import HubFiles
from imagenet_nk.sources.hub.source import Hub
from sources.contract import Listed as ListedIds
from sources.contract import SourceContract, drive, images
from sources.hub_server import Hub as Server
from sources.shards import GOLDFISH, SHARK, TENCH, WNIDS, dealt, parquet, pictures, webdataset
from sources.small_tars import tar_bytes
from sources.tars import jpeg
from sources.test_remote_collected import job
from sources.web import Answer

PARQUET = {f"data/train-{n:05d}-of-00005.parquet": parquet(hand) for n, hand in enumerate(dealt(pictures(20), 5))} | {
    "data/validation-00000-of-00001.parquet": parquet([("x.JPEG", 0, b"val")])
}


def drawn(per_class: int) -> list[tuple[str, int, bytes]]:
    return [(name, label, jpeg(n, 40)) for n, (name, label, _) in enumerate(pictures(per_class))]


TARS = {f"in-train-{n:04d}.tar": webdataset(hand) for n, hand in enumerate(dealt(pictures(20), 5))}


def written(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def opened(source: Hub, tmp_path: Path, sampling: Sampling | None = None, wnids: list[str] = WNIDS) -> Hub:
    source.open(wnids, SourceContext(tmp_path / "index", HttpConfig(), sampling or RandomOrder(0)))
    return source


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


def test_parquet_tars_here_and_there_hold_the_same_images(tmp_path: Path, served: Callable[..., Server]) -> None:
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


def test_only_as_many_shards_as_are_needed(tmp_path: Path, served: Callable[..., Server]) -> None:
    many = {f"train-{n:04d}.tar": webdataset(hand) for n, hand in enumerate(dealt(pictures(40), 20))}
    server = served(many)
    source = opened(Hub("some/set"), tmp_path)
    for wnid in WNIDS:
        assert len(images(source, wnid, 3)) == 3  # two of each class a shard
    source.close()
    assert len(server.fetched()) <= 3  # two shards, and one more on its way


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


def test_one_file_is_a_data_set(tmp_path: Path) -> None:
    written(tmp_path, {"mine.parquet": parquet(pictures(2))})
    assert len(images(opened(Hub(str(tmp_path / "mine.parquet")), tmp_path), SHARK)) == 2


def test_a_listed_image_that_is_not_there_is_missing(tmp_path: Path) -> None:
    written(tmp_path / "set", PARQUET)
    wanted = {TENCH: [f"{TENCH}_3", f"{TENCH}_99", f"{TENCH}_1"]}
    source = opened(Hub(str(tmp_path / "set")), tmp_path, ListedIds(wanted))
    results = [drive(source, candidate) for candidate in source.candidates(TENCH)]
    assert [r.reason if isinstance(r, Rejected) else r.image_id for r in results] == [
        f"{TENCH}_3",
        "missing",
        f"{TENCH}_1",
    ]


def fails(source: Hub, tmp_path: Path, wanted: str) -> None:
    """Opening, or asking for candidates, ends in one line that says this."""
    with pytest.raises(SourceError, match=wanted) as error:
        list(islice(opened(source, tmp_path).candidates(TENCH), 5))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("token", ["", "hf_without_access"])
def test_a_gated_set_says_where_to_ask(
    tmp_path: Path, served: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    server = served(PARQUET)
    server.gated = True
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    message = (
        "some/set is gated, and the present token gives no access: ask for it"
        if token
        else "some/set is gated: ask for access"
    )
    fails(Hub("some/set"), tmp_path, f"{message} at {server.endpoint}/datasets/some/set")


def test_a_token_that_can_be_none_is_one_line(
    tmp_path: Path, served: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    served(PARQUET)
    monkeypatch.setenv("HF_TOKEN", "hf_caf\xe9")
    fails(Hub("some/set"), tmp_path, "HF_TOKEN holds a character that no token has; copy it again")


def test_a_gated_set_opens_with_the_token_of_the_environment(
    tmp_path: Path, served: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = served(PARQUET)
    server.gated, server.token = True, "hf_secret"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert len(images(opened(Hub("some/set"), tmp_path), TENCH, 3)) == 3


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        (Hub("no/set"), "there is no data set http://127.*/datasets/no/set, or it is private"),
        (Hub("some/set", revision="v9"), "has no revision 'v9'; leave source.revision out"),
        (Hub("some/set", split="test"), "has no .parquet and no .tar of split 'test' among its 6 files, such as data/"),
        (Hub("/no/such/folder"), "is neither a path here nor a name on the hub such as ILSVRC/imagenet-1k"),
    ],
)
def test_a_set_that_is_not_there_is_one_line(
    tmp_path: Path, served: Callable[..., Server], source: Hub, wanted: str
) -> None:
    served(PARQUET)
    fails(source, tmp_path, wanted)
    source.close()  # as a run does that cannot open its source


def test_a_hub_out_of_reach_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    fails(Hub("some/set"), tmp_path, "http://127.0.0.1:9/datasets/some/set cannot be reached: ")


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
def test_a_bad_parquet_file_is_one_line(tmp_path: Path, case: str) -> None:
    data, wanted = BAD[case]
    written(tmp_path / "set", {"train.parquet": data})
    fails(Hub(str(tmp_path / "set")), tmp_path, wanted)


def test_a_tar_that_is_none_is_one_line(tmp_path: Path) -> None:
    written(tmp_path / "set", {"train.tar": b"<html>sign in</html>" * 100})
    fails(Hub(str(tmp_path / "set")), tmp_path, r"train\.tar is no tar")


def test_a_truncated_tar_gives_its_whole_samples(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
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


def test_labels_without_names_are_trusted_when_told_to_be(tmp_path: Path) -> None:
    written(tmp_path / "set", {"train.parquet": parquet([("a.jpg", 1, b"x")], None)})
    source = opened(Hub(str(tmp_path / "set"), sorted_labels=True), tmp_path)
    assert len(images(source, GOLDFISH)) == 1


@pytest.mark.parametrize("make", [parquet, webdataset])
@pytest.mark.parametrize("none", [None, -1])
def test_images_without_a_label_are_passed_over_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, make: Callable[..., bytes], none: int | None
) -> None:
    label = {"label": "json"} if make is webdataset else {}
    images_here = [(f"{n}.jpg", n % 3 if n % 4 else none, b"x") for n in range(24)]
    suffix = "parquet" if make is parquet else "tar"
    files = {f"train-{n}.{suffix}": make(hand, **label) for n, hand in enumerate(dealt(images_here, 3))}  # type: ignore[arg-type]
    card = {"dataset_info": {"features": [{"dtype": {"class_label": {"names": dict(enumerate(WNIDS))}}}]}}
    files["README.md"] = f"---\n{json.dumps(card)}\n---\n".encode()
    source = opened(Hub(str(written(tmp_path / "set", files))), tmp_path)
    assert sum(len(images(source, wnid)) for wnid in WNIDS) == 18
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) == 1
    assert "2 of the 8 images of train-" in said[0]


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


def test_a_card_that_is_no_yaml_is_one_line(tmp_path: Path) -> None:
    files = {"train.tar": webdataset(pictures(1)), "README.md": b"---\n{: ]\n---\n"}
    fails(Hub(str(written(tmp_path / "set", files))), tmp_path, "README.md has a head that is no yaml")


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


@pytest.mark.parametrize("name", ["train.parquet", "train.tar"])
def test_a_transfer_that_breaks_off_is_one_line_and_leaves_no_whole_file(
    tmp_path: Path, served: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    make = parquet if name.endswith("parquet") else webdataset
    server = served({name: make(pictures(4))})
    server.cut = 700
    source = Hub("some/set")
    fails(source, tmp_path, f"{name} cannot be read: ")
    assert [file for file in tmp_path.rglob("*") if file.suffix in (".tar", ".parquet", ".arrow")] == []
    source.close()


def test_a_tar_goes_on_from_where_it_broke_off(tmp_path: Path, served: Callable[..., Server]) -> None:
    tar = webdataset(pictures(4))
    server = served({"train.tar": tar})
    part = tmp_path / "spool" / "train.tar.part"
    part.parent.mkdir()
    part.write_bytes(tar[:5000])
    files = HubFiles("some/set", "main")
    assert files.local_copy("train.tar", tmp_path / "spool").read_bytes() == tar
    assert server.fetched() == {"train.tar": len(tar) - 5000}


@pytest.mark.parametrize("name", ["train.parquet", "train.tar"])
@pytest.mark.parametrize("answer", [Answer(404), Answer(503), Answer(200, b"<html>sign in</html>")])
def test_a_hub_that_fails_in_the_middle_settles_no_image(
    tmp_path: Path, served: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, name: str, answer: Answer
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    make = parquet if name.endswith("parquet") else webdataset
    server = served({name: make(pictures(2))})
    source = opened(Hub("some/set"), tmp_path)
    candidate = next(iter(source.candidates(TENCH)))
    shutil.rmtree(tmp_path / "index", ignore_errors=True)
    honest, server.web.answer = server.web.answer, lambda *_: answer  # type: ignore[method-assign]
    with pytest.raises(SourceError, match="nothing is held against any image") as error:
        drive(source, candidate)
    assert "\n" not in str(error.value)
    server.web.answer = honest  # type: ignore[method-assign]
    assert isinstance(drive(source, candidate), FetchedImage)


@pytest.mark.parametrize("make", [parquet, webdataset])
def test_that_a_hub_is_asked_again_is_said_once_for_all_its_shards(
    tmp_path: Path,
    served: Callable[..., Server],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    make: Callable[..., bytes],
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    suffix = "parquet" if make is parquet else "tar"
    server = served({f"train-{n}.{suffix}": make(hand) for n, hand in enumerate(dealt(pictures(4), 4))})
    honest = server.web.answer
    server.web.answer = lambda asked, headers: (  # type: ignore[method-assign]
        Answer(404) if asked.path.startswith("/datasets") else honest(asked, headers)
    )
    with pytest.raises(SourceError):
        next(opened(Hub("some/set"), tmp_path).candidates(TENCH))
    for thread in threading.enumerate():
        if thread.name == "hub":  # shards that were being looked at ahead
            thread.join()
    assert [r.levelname for r in caplog.records if "trying again" in r.getMessage()].count("WARNING") == 1


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
@pytest.mark.parametrize("files", [False, True])
def test_a_plain_status_is_one_short_line(
    tmp_path: Path,
    served: Callable[..., Server],
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    files: bool,
) -> None:
    """Of a mirror or a proxy, which does not say in Hugging Face's headers what is wrong."""
    server = served(PARQUET)
    answer = server.web.answer
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)  # it has patience of its own
    past_the_log = logging.handlers.MemoryHandler(1000)
    logging.getLogger("huggingface_hub").addHandler(past_the_log)
    page = Answer(status, b"<html>not now</html>")
    server.web.answer = lambda asked, headers: (  # type: ignore[method-assign]
        page if not files or asked.path.startswith("/datasets") else answer(asked, headers)
    )
    with pytest.raises(SourceError, match=rf"(cannot be reached|cannot be read): it answers {status} [A-Z]") as error:
        next(opened(Hub("some/set"), tmp_path).candidates(TENCH))
    for thread in threading.enumerate():
        if thread.name == "hub":  # shards that were being looked at ahead
            thread.join()
    logging.getLogger("huggingface_hub").removeHandler(past_the_log)
    assert past_the_log.buffer == []
    said = str(error.value)
    assert "\n" not in said
    assert "For more information" not in said
    assert "<html>" not in said
    assert len(said.partition("it answers")[2]) < 110


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

    def test_its_classes_are_not_complete_until_it_is_mended(self, tmp_path: Path) -> None:
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

    def test_a_sample_that_lost_its_label_is_left_out(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
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
