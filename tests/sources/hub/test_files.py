from __future__ import annotations

import logging.handlers
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from imagenet_nk.errors import SourceError
from imagenet_nk.sources.hub.files import HubFiles
from imagenet_nk.sources.hub.source import Hub
from sources.contract import images
from sources.hub.helpers import PARQUET, fails, opened, written
from sources.hub_server import Hub as Server
from sources.shards import TENCH, parquet, pictures, webdataset
from sources.web import Answer


@pytest.mark.parametrize("token", ["", "hf_without_access"])
def test_gated_data_set_error_names_the_access_page(
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


def test_malformed_token_is_one_line(
    tmp_path: Path, served: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    served(PARQUET)
    monkeypatch.setenv("HF_TOKEN", "hf_caf\xe9")
    fails(Hub("some/set"), tmp_path, "HF_TOKEN holds a character that no token has; copy it again")


def test_gated_set_opens_with_the_token_of_the_environment(
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
def test_missing_data_set_is_one_line(tmp_path: Path, served: Callable[..., Server], source: Hub, wanted: str) -> None:
    served(PARQUET)
    fails(source, tmp_path, wanted)
    source.close()  # as a run does that cannot open its source


def test_hub_out_of_reach_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    fails(Hub("some/set"), tmp_path, "http://127.0.0.1:9/datasets/some/set cannot be reached: ")


def test_card_with_invalid_yaml_is_one_line(tmp_path: Path) -> None:
    files = {"train.tar": webdataset(pictures(1)), "README.md": b"---\n{: ]\n---\n"}
    fails(Hub(str(written(tmp_path / "set", files))), tmp_path, "README.md has a head that is no yaml")


@pytest.mark.parametrize("name", ["train.parquet", "train.tar"])
def test_broken_transfer_is_one_line_and_leaves_no_file(
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


def test_interrupted_tar_download_is_resumed(tmp_path: Path, served: Callable[..., Server]) -> None:
    tar = webdataset(pictures(4))
    server = served({"train.tar": tar})
    part = tmp_path / "spool" / "train.tar.part"
    part.parent.mkdir()
    part.write_bytes(tar[:5000])
    files = HubFiles("some/set", "main")
    assert files.local_copy("train.tar", tmp_path / "spool").read_bytes() == tar
    assert server.fetched() == {"train.tar": len(tar) - 5000}


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
@pytest.mark.parametrize("files", [False, True])
def test_plain_status_is_one_short_line(
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
