"""A web of drawn pictures on a loopback address, with the faults that old image addresses have."""

from __future__ import annotations

import functools
import io
import logging
import re
import socket
import sys
import threading
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

from PIL import Image, ImageDraw

from imagenet_nk.sources.demo import pictures

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
UNAVAILABLE = "/static/photo_unavailable.png"
_PICTURE = re.compile(r"/(n[0-9]{8})/([0-9]{1,18})\.jpg\Z")
_HTML = b"<!DOCTYPE html><html><head><title>Not found</title></head><body><h1>This page is gone</h1></body></html>\n"


class Fault(StrEnum):
    """What has become of an address."""

    good = "good"
    not_found = "not_found"  # 404
    gone = "gone"  # 410
    refused = "refused"  # at a port where nobody listens
    moved = "moved"  # 302 to a placeholder whose address gives it away
    placeholder = "placeholder"  # 200 and the same placeholder from every such address
    html = "html"  # 200, image/jpeg, and a page
    cut_short = "cut_short"  # fewer bytes than announced
    truncated = "truncated"  # the first half of a file
    garbled = "garbled"  # a JPEG with noise in its scan
    tiny = "tiny"  # a thumbnail


_ALL_FAULTS = tuple(fault_of for fault_of in Fault if fault_of is not Fault.good)
_DECK = (Fault.good,) * len(_ALL_FAULTS) + _ALL_FAULTS


def fault_of(wnid: str, serial: int) -> Fault:
    """The fate of an address: of each 20 in a row of a class 10 are good and each fault comes once."""
    block, place = divmod(serial, len(_DECK))
    return Random(f"demo fate {wnid} {block}").sample(_DECK, len(_DECK))[place]


class DemoServer:
    """The server, from its making to close(); it draws what it is asked for."""

    def __init__(self) -> None:
        """Listen on a free port. Raises OSError if there is none."""
        self._dead = socket.socket()  # bound and never listening: whoever connects is refused
        try:
            self._dead.bind((LOOPBACK, 0))
            self._http = _Server((LOOPBACK, 0), _Handler)
        except OSError:
            self._dead.close()
            raise
        self.host = f"{LOOPBACK}:{self._http.server_address[1]}"
        self.dead_host = f"{LOOPBACK}:{self._dead.getsockname()[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="demo-server", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering and free the ports."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        self._dead.close()


class _Server(ThreadingHTTPServer):
    request_queue_size = 512  # connections that wait for a thread

    def __init__(self, *args: Any) -> None:
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Also end the connections that clients keep open, and so their threads."""
        super().server_close()
        with self._guard:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError as error:  # the client was quicker
                    log.debug("demo server: %s", error)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        log.debug("demo server: %s", sys.exc_info()[1])  # a client that hangs up is no news


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    timeout = 30  # seconds that an idle connection is kept

    def do_GET(self) -> None:
        if self.path == UNAVAILABLE:
            self._answer(200, placeholder("unavailable", "PNG"), "image/png")
        elif match := _PICTURE.match(self.path):
            self._picture(match[1], int(match[2]))
        else:
            self._answer(404, _HTML, "text/html")

    def _picture(self, wnid: str, serial: int) -> None:
        match fault_of(wnid, serial):
            case Fault.not_found | Fault.refused:
                self._answer(404, _HTML, "text/html")
            case Fault.gone:
                self._answer(410, _HTML, "text/html")
            case Fault.moved:
                self._answer(302, b"", "text/html", location=UNAVAILABLE)
            case Fault.cut_short:
                data = pictures.encode(wnid, serial)
                self._answer(200, data[: len(data) // 3], "image/jpeg", announced=len(data))
            case kind:
                self._answer(200, body(kind, wnid, serial), "image/jpeg")

    def _answer(self, status: int, data: bytes, kind: str, location: str = "", announced: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data) if announced is None else announced))
        if location:
            self.send_header("Location", location)
        if announced is not None:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        log.debug("demo server: " + format, *args)


def body(kind: Fault, wnid: str, serial: int) -> bytes:
    """The body behind an address that answers 200."""
    if kind is Fault.placeholder:
        return placeholder("not found", "JPEG")
    if kind is Fault.html:
        return _HTML
    if kind is Fault.tiny:
        return _jpeg(pictures.draw_picture(wnid, serial).resize((20, 15)))
    if kind is Fault.truncated:
        data = pictures.encode(wnid, serial)
        return data[: len(data) // 2]
    if kind is Fault.garbled:
        return _garble(_jpeg(pictures.draw_picture(wnid, serial)), Random(f"{wnid} {serial}"))
    return pictures.encode(wnid, serial)


@functools.cache
def placeholder(text: str, form: str) -> bytes:
    """The picture that stands for a removed one."""
    image = Image.new("RGB", (240, 180), (228, 228, 224))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle([75, 45, 165, 110], 8, outline=(170, 170, 165), width=4)
    draw.line([(78, 107), (162, 48)], fill=(170, 170, 165), width=4)
    draw.text((120, 135), f"image {text}", fill=(120, 120, 115), anchor="mm")
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


def _jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return file.getvalue()


def _garble(jpeg: bytes, random: Random) -> bytes:
    """Noise in the scan, and in it a second frame header: no decoder may take that for a whole picture."""
    scan = jpeg.index(b"\xff\xda")
    frame = jpeg[jpeg.index(b"\xff\xc0") :][:19]
    start = scan + (len(jpeg) - scan) // 3
    noise = random.randbytes((len(jpeg) - scan) // 4).replace(b"\xff", b"\xfe")
    return jpeg[:start] + noise + frame + jpeg[start + len(noise) + len(frame) :]
