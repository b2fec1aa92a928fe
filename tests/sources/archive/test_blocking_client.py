from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from imagenet_nk.config import HttpConfig
from imagenet_nk.net.http import Request
from imagenet_nk.sources.archive.blocking_client import BlockingClient
from sources.web import Web


def test_requests_of_many_threads_get_their_own_responses(server: Web) -> None:
    data = bytes(range(256)) * 40
    url = server.put("/data", data)
    client = BlockingClient(HttpConfig(allow_private=True))
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda first: client.get(Request(url, first, first + 99)), range(0, 8000, 100)))
    client.close()
    assert b"".join(response.body for response in responses) == data[:8000]


def test_private_address_is_refused_as_for_images(server: Web) -> None:
    client = BlockingClient(HttpConfig())
    assert client.get(Request(server.put("/data", b"x"))).fault == "forbidden"
    client.close()
