from __future__ import annotations

import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from imagenet_nk.config import HttpConfig
from imagenet_nk.net.download import OutOfReachError, download
from imagenet_nk.net.guarded_session import open_session
from sources.web import Answer, web


@pytest.mark.parametrize(("address", "helps"), [("127.0.0.1", True), ("169.254.169.254", False)])
def test_error_names_allow_private_only_if_it_helps(address: str, helps: bool) -> None:
    with pytest.raises(requests.ConnectionError) as raised:
        open_session(HttpConfig()).get(f"http://{address}:9/")
    assert ("allow_private" in str(raised.value)) == helps


def test_name_is_resolved_once_and_connected_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve, asked = socket.getaddrinfo, list[str]()

    def rebinding(host: str, *args: Any, **kwargs: Any) -> Any:
        """The server's address at first, then one where nobody listens."""
        if host != "rebinding.test":
            return resolve(host, *args, **kwargs)
        asked.append(host)
        return resolve("127.0.0.1" if len(asked) == 1 else "127.0.0.2", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with web() as server:
        url = server.put("/l", b"data").replace("127.0.0.1", "rebinding.test")
        with open_session(HttpConfig(allow_private=True)) as session:
            answer = session.get(url)
    assert (answer.content, len(asked)) == (b"data", 1)
    assert answer.request.url == url


@pytest.mark.parametrize("form", ["http://127.0.0.1:{port}/x", "//127.0.0.1:{port}/x", "http://u:p@127.0.0.1:{port}/x"])
def test_redirect_to_another_port_is_refused(form: str, tmp_path: Path) -> None:
    with web() as server, web() as other:
        port = urlsplit(other.put("/x", b"secret")).port
        url = server.put("/l", lambda *_: Answer(302, b"", {"Location": form.format(port=port)}))
        with pytest.raises(OutOfReachError, match="a redirect is not allowed") as raised:
            download(url, tmp_path / "l", HttpConfig(allow_private=True))
        assert other.asked == []
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "location", ["//[", "http://[::1", "http://a:99999/", "http://a:\u00b2/", "file:///etc/passwd"]
)
def test_redirect_to_no_address_is_one_line(location: str, tmp_path: Path) -> None:
    with web() as server:
        url = server.put("/l", lambda *_: Answer(302, b"", {"Location": location}))
        with pytest.raises(OutOfReachError) as raised:
            download(url, tmp_path / "l", HttpConfig(allow_private=True))
    assert "\n" not in str(raised.value)


def test_redirect_to_the_same_port_is_followed() -> None:
    with web() as server:
        server.put("/x", b"data")
        url = server.put("/l", lambda *_: Answer(302, b"", {"Location": "/x"}))
        with open_session(HttpConfig(allow_private=True)) as session:
            assert session.get(url).content == b"data"
