"""HTTP/2 where a server offers it: many images of a host over one connection."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypercorn.asyncio import serve
from hypercorn.config import Config

from imagenet_nk.net.curl_transport import CurlTransport
from imagenet_nk.net.http import Request
from net.test_curl_transport import http

AT_ONCE = 6


@dataclass
class Site:
    """An ASGI application: each address answers with its own name, once so many are asked for at the same time."""

    port: int
    versions: set[str] = field(default_factory=set)
    clients: set[tuple[str, int]] = field(default_factory=set)
    together: int = 1
    most: int = 0  # requests in hand at once
    _now: int = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self.versions.add(scope["http_version"])
        self.clients.add(tuple(scope["client"]))
        self._now += 1
        self.most = max(self.most, self._now)
        while self.most < self.together:
            await asyncio.sleep(0.01)
        self._now -= 1
        body = scope["path"].encode() * 10_000
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"image/jpeg")]})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def site(certificate: Path) -> Iterator[Site]:
    config = Config()
    config.certfile = config.keyfile = str(certificate)
    config.alpn_protocols = ["h2", "http/1.1"]
    config.errorlog = None
    listener = socket.create_server(("127.0.0.1", 0))
    one = Site(listener.getsockname()[1])
    config.bind = [f"fd://{listener.detach()}"]  # closed by the server
    end = asyncio.Event()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(
        target=loop.run_until_complete, args=(serve(one, config, shutdown_trigger=end.wait),), daemon=True
    )
    thread.start()
    yield one
    loop.call_soon_threadsafe(end.set)
    thread.join()
    loop.close()


def test_requests_to_one_host_share_one_connection(
    site: Site,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    paths = [f"/{number}.jpg" for number in range(60)]
    transport = CurlTransport(
        http(per_host=AT_ONCE, concurrency=AT_ONCE, deadline=20.0, first_byte_timeout=20.0, max_bytes=10**6)
    )
    bodies: dict[Hashable, bytes] = {}
    try:
        for some, together in ((paths[:1], 1), (paths[1:], AT_ONCE)):  # the first shows that HTTP/2 is spoken here
            site.together = together
            for path in some:
                transport.submit(Request(f"https://127.0.0.1:{site.port}{path}"), path)
            while not bodies.keys() >= set(some):
                bodies.update((path, response.body) for path, response in transport.poll(0.2))
    finally:
        transport.close()
    assert bodies == {path: path.encode() * 10_000 for path in paths}
    assert site.versions == {"2"}
    assert site.most >= AT_ONCE
    assert len(site.clients) == 1
