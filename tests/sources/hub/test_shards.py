"""A hub whose bytes arrive other than they were sent: nothing of that is held against an image, or let in."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from pandas.testing import assert_frame_equal

from imagenet_nk.collect.stage import collect
from imagenet_nk.errors import SourceError
from imagenet_nk.sources.hub.source import Hub
from sources.hub_server import Hub as Server
from sources.shards import WNIDS, parquet, pictures, webdataset
from sources.tars import jpeg
from sources.test_remote_collected import job, kept

IMAGES = [(name, label, jpeg(n, 160)) for n, (name, label, _) in enumerate(pictures(5))]
_NAMES = {"class_label": {"names": dict(enumerate(WNIDS))}}
CARD = {"dataset_info": {"features": [{"name": "cls", "dtype": _NAMES}]}}
SETS = {"train.parquet": parquet(IMAGES, rows=5), "train.tar": webdataset(IMAGES)}


def zeros(body: bytes) -> bytes:
    third = len(body) // 3
    return body[:third] + bytes(third) + body[2 * third :]


def noise(body: bytes) -> bytes:
    third = len(body) // 3
    return body[:third] + random.Random(len(body)).randbytes(third) + body[2 * third :]


def otherwise(body: bytes) -> bytes:
    """A few bytes of an image, which no reading finds the same again."""
    half = len(body) // 2
    return body[:half] + random.randbytes(300) + body[half + 300 :]


@pytest.mark.parametrize("name", list(SETS))
@pytest.mark.parametrize("damaged", [zeros, noise])
def test_one_answer_that_comes_damaged_changes_nothing(
    tmp_path: Path, served: Callable[..., Server], name: str, damaged: Callable[[bytes], bytes]
) -> None:
    """Whichever it is: of the file's end, the labels, or the images."""
    server = served({name: SETS[name]}, CARD)
    assert collect(job(tmp_path / "honest", Hub("some/set"), nk=None, wnids=WNIDS)).kept == len(IMAGES)
    honest, answers = kept(tmp_path / "honest"), server.sent
    for n in range(answers):
        server.sent, server.spoil = 0, lambda number, body, n=n: damaged(body) if number == n else body
        summary = collect(job(tmp_path / str(n), Hub("some/set"), nk=None, wnids=WNIDS))
        assert (summary.kept, summary.short, summary.reasons) == (len(IMAGES), (), {}), f"answer {n} of {answers}"
        columns = ["path", "wnid", "sha256"]
        assert_frame_equal(kept(tmp_path / str(n))[columns], honest[columns])


@pytest.mark.parametrize("name", list(SETS))
def test_a_hub_that_damages_all_settles_nothing(tmp_path: Path, served: Callable[..., Server], name: str) -> None:
    server = served({name: SETS[name]}, CARD)
    # Each time in another way, but for the footer of a parquet file, of which 64 KiB are read.
    server.spoil = lambda number, body: otherwise(body) if len(body) > 1 << 16 else body
    one = job(tmp_path / "set", Hub("some/set"), nk=None, wnids=WNIDS)
    with pytest.raises(SourceError, match=r"nothing is held|came damaged"):
        collect(one)
    with sqlite3.connect(tmp_path / "set" / "ledger.sqlite") as ledger:
        assert ledger.execute("SELECT count(*) FROM attempts WHERE final = 1 AND reason != ''").fetchone() == (0,)
    server.spoil = lambda number, body: body
    summary = collect(one)
    assert (summary.kept, summary.short) == (len(IMAGES), ())


@pytest.mark.parametrize("name", list(SETS))
def test_what_lies_there_damaged_is_settled_so_and_not_asked_for_again_and_again(
    tmp_path: Path, served: Callable[..., Server], name: str
) -> None:
    broken = [(image, label, b"no picture" * (n % 3) + data) for n, (image, label, data) in enumerate(IMAGES)]
    make = parquet if name.endswith("parquet") else webdataset
    server = served({name: make(broken)}, CARD)
    summary = collect(job(tmp_path / "set", Hub("some/set"), nk=None, wnids=WNIDS))
    assert (summary.kept, dict(summary.reasons)) == (5, {"not_image": 10})
    assert server.fetched()[name] < 3.5 * len(server.files[name]), "a row group twice, or each image once more"
