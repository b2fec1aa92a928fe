"""Certificates: a server with one that nobody has signed but itself."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from net.test_curl_transport import get

BODY = b"the image"


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def url(certificate: Path) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Page)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}/x.jpg"
    server.shutdown()
    server.server_close()
    thread.join()


def test_untrusted_certificate_is_refused(url: str) -> None:
    assert get(url).fault == "tls"


def test_certificate_in_ssl_cert_file_is_trusted_for_its_own_name(
    url: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert get(url).body == BODY
    assert get(url.replace("127.0.0.1", "127.0.0.2")).fault in ("tls", "refused")  # it is not in that name
