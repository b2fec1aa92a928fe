"""A loopback web for tests: a dictionary of paths, each with a function that answers."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Asked:
    method: str
    path: str
    first: int | None
    last: int | None
    sent: int = 0  # bytes of body


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None  # the Content-Length claimed, where it is a lie


class Web:
    """Serves `pages`: path -> bytes (with ranges) or a function of (Asked, headers) that gives an Answer."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.pages: dict[str, bytes | Callable[[Asked, dict[str, str]], Answer]] = {}
        self.asked: list[Asked] = []

    def put(self, path: str, page: bytes | Callable[[Asked, dict[str, str]], Answer]) -> str:
        self.pages[path] = page
        return self.base + path

    def answer(self, asked: Asked, headers: dict[str, str]) -> Answer:
        page = self.pages.get(asked.path)
        if page is None:
            return Answer(404, b"no such page")
        return ranged(page, asked) if isinstance(page, bytes) else page(asked, headers)


def ranged(data: bytes, asked: Asked, etag: str = '"one"') -> Answer:
    """What an honest server says to a GET with or without a range."""
    headers = {"ETag": etag, "Accept-Ranges": "bytes"}
    if asked.first is None:
        return Answer(200, data, headers)
    if asked.first >= len(data):
        return Answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
    last = min(len(data) - 1, asked.last if asked.last is not None else len(data))
    headers["Content-Range"] = f"bytes {asked.first}-{last}/{len(data)}"
    return Answer(206, data[asked.first : last + 1], headers)


@contextmanager
def web() -> Iterator[Web]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            span = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            first, last = (int(span[1]), int(span[2]) if span[2] else None) if span else (None, None)
            asked = Asked(self.command, self.path, first, last)
            site.asked.append(asked)
            answer = site.answer(asked, dict(self.headers))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body) if answer.length is None else answer.length))
            if answer.length is not None:
                self.close_connection = True
                self.send_header("Connection", "close")
            self.end_headers()
            if self.command == "GET":
                asked.sent = len(answer.body)
                try:
                    self.wfile.write(answer.body)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    site = Web(f"http://127.0.0.1:{server.server_port}")
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
