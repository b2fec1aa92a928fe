from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from imagenet_nk.errors import SourceError
from imagenet_nk.sources.hub.source import Hub
from sources.contract import images
from sources.hub.helpers import opened, written
from sources.hub_server import Hub as Server
from sources.shards import TENCH, WNIDS, dealt, parquet, pictures, webdataset
from sources.web import Answer


def test_only_needed_shards_are_fetched(tmp_path: Path, served: Callable[..., Server]) -> None:
    many = {f"train-{n:04d}.tar": webdataset(hand) for n, hand in enumerate(dealt(pictures(40), 20))}
    server = served(many)
    source = opened(Hub("some/set"), tmp_path)
    for wnid in WNIDS:
        assert len(images(source, wnid, 3)) == 3  # two of each class a shard
    source.close()
    assert len(server.fetched()) <= 3  # two shards, and one more on its way


@pytest.mark.parametrize("make", [parquet, webdataset])
def test_retries_of_all_shards_give_one_warning(
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


@pytest.mark.parametrize("make", [parquet, webdataset])
@pytest.mark.parametrize("none", [None, -1])
def test_images_without_a_label_are_skipped_with_one_warning(
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
