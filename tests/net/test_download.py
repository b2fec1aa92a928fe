from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_nk.config import HttpConfig
from imagenet_nk.errors import SourceError
from imagenet_nk.net import download as download_module
from imagenet_nk.net.download import OutOfReachError, download
from sources.web import Answer, Asked, Web, ranged, web

HTTP = HttpConfig(allow_private=True)
DATA = random.Random(0).randbytes(300_000)


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as site:
        yield site


def only(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_file_gets_its_name_once_it_is_complete(server: Web, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    to = tmp_path / "new" / "list.tgz"
    assert download(server.put("/l", DATA), to, HTTP, lambda done, size: seen.append((done, size))) == to
    assert to.read_bytes() == DATA
    assert seen[-1] == (len(DATA), len(DATA))
    assert only(to.parent) == {"list.tgz", "list.tgz.http.json"}


def test_broken_download_is_resumed_from_the_last_byte(server: Web, tmp_path: Path) -> None:
    def flaky(asked: Asked, _: dict[str, str]) -> Answer:
        answer = ranged(DATA, asked)
        return Answer(answer.status, answer.body[:70_000], answer.headers, length=len(answer.body))

    to = tmp_path / "l"
    download(server.put("/l", flaky), to, HTTP)
    assert to.read_bytes() == DATA
    assert [a.first for a in server.asked] == [None, 65_536, 131_072, 196_608, 262_144]


def test_next_call_resumes_unless_the_file_has_changed(server: Web, tmp_path: Path) -> None:
    cut = lambda asked, _: Answer(200, DATA[:70_000], {"ETag": '"one"'}, length=len(DATA))  # noqa: E731
    url, to = server.put("/l", cut), tmp_path / "l"
    with pytest.raises(OutOfReachError):
        download(url, to, HTTP)
    assert not to.exists()
    server.asked.clear()
    server.put("/l", DATA)
    assert download(url, to, HTTP).read_bytes() == DATA
    assert [a.first for a in server.asked] == [65_536]

    to.unlink()
    server.put("/l", cut)
    with pytest.raises(OutOfReachError):
        download(url, to, HTTP)

    def changed(asked: Asked, headers: dict[str, str]) -> Answer:  # as RFC 9110, 13.1.5 has it
        same = headers.get("If-Range") in (None, '"two"')
        return ranged(DATA[::-1], asked if same else Asked("GET", asked.path, None, None), etag='"two"')

    server.put("/l", changed)
    assert download(url, to, HTTP).read_bytes() == DATA[::-1]


def test_existing_file_is_fetched_again_only_for_another_version(server: Web, tmp_path: Path) -> None:
    url, to = server.put("/l", DATA), tmp_path / "l"
    download(url, to, HTTP)
    server.asked.clear()
    download(url, to, HTTP)
    assert [a.method for a in server.asked] == ["HEAD"]
    server.put("/l", lambda asked, _: ranged(DATA[:9], asked, etag='"two"'))
    assert download(url, to, HTTP).read_bytes() == DATA[:9]
    del server.pages["/l"]
    assert download(url, to, HTTP).read_bytes() == DATA[:9], "nobody to ask: what is there serves"


@pytest.mark.parametrize("status", [401, 403, 404, 410, 503])
def test_missing_file_is_a_one_line_error(server: Web, tmp_path: Path, status: int) -> None:
    with pytest.raises(OutOfReachError, match=f"/l: answers {status}") as error:
        download(server.put("/l", lambda *_: Answer(status)), tmp_path / "l", HTTP)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "l").exists()


@pytest.mark.parametrize(
    "address",
    ["ftp://a.example/l", "file:///etc/passwd", "gopher://a/", "http:/one-slash"],
)
def test_other_schemes_are_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(SourceError, match="only http and https"):
        download(address, tmp_path / "l", HTTP)


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/l", "http://[::1"])
def test_redirect_to_another_scheme_is_refused(server: Web, tmp_path: Path, location: str) -> None:
    url = server.put("/l", lambda *_: Answer(302, headers={"Location": location}))
    with pytest.raises(SourceError):
        download(url, tmp_path / "l", HTTP)


def test_error_for_a_private_address_names_allow_private(server: Web, tmp_path: Path) -> None:
    for url in (server.put("/l", DATA), server.base.replace("127.0.0.1", "localhost") + "/l"):
        with pytest.raises(SourceError, match=r"loopback address; http\.allow_private=true"):
            download(url, tmp_path / "l", HttpConfig())
    assert not server.asked


def test_file_above_max_bytes_is_refused(server: Web, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="300,000 bytes, more than the 299,999"):
        download(server.put("/l", DATA), tmp_path / "l", HTTP, max_bytes=299_999)


def test_web_page_instead_of_the_file_leaves_the_part_unchanged(server: Web, tmp_path: Path) -> None:
    data = bytes(range(256)) * 2000
    whole = tmp_path / "list.tgz"

    def breaks(asked: Asked, _: dict[str, str]) -> Answer:
        answer = ranged(data, asked)
        return Answer(answer.status, answer.body[:200_000], answer.headers, length=len(answer.body))

    url = server.put("/list.tgz", breaks)
    server.put(
        "/list.tgz", lambda asked, headers: breaks(asked, headers) if asked.first is None else Answer(200, b"<html>")
    )
    with pytest.raises(SourceError, match="answered with a web page, not the file; is a login needed"):
        download(url, whole, HTTP)
    assert not whole.exists()
    assert (tmp_path / "list.tgz.part").stat().st_size > 0
    server.asked.clear()
    server.put("/list.tgz", data)
    assert download(url, whole, HTTP).read_bytes() == data
    assert server.asked[-1].first, "it goes on where it was"


def test_full_disk_is_a_one_line_error(server: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download_module._Download, "_save", full)
    with pytest.raises(SourceError, match="No space left on device; free space"):
        download(server.put("/l", DATA), tmp_path / "l", HTTP)
    assert not (tmp_path / "l").exists()


def test_wrong_range_restarts_the_download(server: Web, tmp_path: Path) -> None:
    cut = [DATA[:70_000]]

    def page(asked: Asked, _: dict[str, str]) -> Answer:
        if cut:
            return Answer(200, cut.pop(), {"ETag": '"one"'}, length=len(DATA))
        answer = ranged(DATA, asked)
        return Answer(206, answer.body, {**answer.headers, "Content-Range": "bytes 5-9/10"}) if asked.first else answer

    assert download(server.put("/l", page), tmp_path / "l", HTTP).read_bytes() == DATA


@given(st.text(max_size=40), st.one_of(st.none(), st.integers(0)))
def test_validators_come_from_the_headers(etag: str, length: int | None) -> None:
    version = download_module.Validators.of({"ETag": etag, "Last-Modified": "then"}, length)
    assert version.condition == ("then" if not etag or etag.startswith("W/") else etag)
