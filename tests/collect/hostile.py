"""A loopback server that does what no library would: raw sockets, and a function that says what to send."""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Asked:
    """One request as it came, and the connection to answer on."""

    path: str
    head: bytes
    connection: socket.socket
    stop: threading.Event
    sent: int = 0

    def send(self, data: bytes) -> bool:
        """False once the other side is gone or the test is over."""
        try:
            self.connection.sendall(data)
        except OSError:
            return False
        self.sent += len(data)
        return not self.stop.is_set()

    def wait(self, seconds: float) -> bool:
        """False once the test is over."""
        return not self.stop.wait(seconds)

    def reset(self) -> None:
        """Break the connection off with an RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def header(self, name: str) -> str | None:
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None


Answer = Callable[[Asked], None]


@dataclass
class Hostile:
    """`pages`: what to do by path; anything else is a 404."""

    port: int
    pages: dict[str, Answer] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    is_mute: bool = False  # take requests and say nothing
    go: Callable[[], None] = lambda: None  # break off what is open, and refuse whoever comes
    come_back: Callable[[], None] = lambda: None

    def put(self, path: str, answer: Answer | bytes, host: str = "127.0.0.1") -> str:
        """The URL of a page; bytes are sent as they are, and the connection closed."""
        self.pages[path] = (lambda asked: (asked.send(answer), None)[1]) if isinstance(answer, bytes) else answer
        return self.url(path, host)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def counts(self) -> Counter[str]:
        with self.lock:
            return Counter(asked.path for asked in self.asked)

    def clear(self) -> None:
        with self.lock:
            self.asked.clear()


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """An honest answer as bytes."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    return answer(b"", status, f"Location: {location}")


class _Listener:
    """Takes connections for a Hostile, until it is shut; another may follow at its port."""

    def __init__(self, host: str, port: int = 0) -> None:
        self._socket = socket.create_server((host, port), backlog=512)
        self.port = self._socket.getsockname()[1]
        self._stop = threading.Event()
        self._open: set[socket.socket] = set()

    def start(self, server: Hostile) -> None:
        self._thread = threading.Thread(target=self._accept, args=(server,), daemon=True)
        self._thread.start()

    def shut(self) -> None:
        self._stop.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)

    def _accept(self, server: Hostile) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(server, connection), daemon=True).start()

    def _serve(self, server: Hostile, connection: socket.socket) -> None:
        try:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(65536)
                if not piece:
                    return
                head += piece
            path = head.split(b" ", 2)[1].decode("latin-1")
            asked = Asked(path, head, connection, self._stop)
            while server.is_mute and asked.wait(0.05):
                if connection in select.select([connection], [], [], 0)[0]:
                    return  # whoever asked has gone
            with server.lock:
                server.asked.append(asked)
            server.pages.get(path, lambda asked: (asked.send(answer(b"", "404 Not Found")), None)[1])(asked)
        except OSError:
            pass
        finally:
            self._open.discard(connection)
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
            connection.close()


@contextmanager
def hostile(host: str = "127.0.0.1") -> Iterator[Hostile]:
    """Listens on one address; "0.0.0.0" means every 127.x.y.z."""
    listener = _Listener(host)
    server = Hostile(listener.port)
    listener.start(server)

    def go() -> None:
        listener.shut()

    def come_back() -> None:
        nonlocal listener
        listener = _Listener(host, server.port)
        listener.start(server)

    server.go, server.come_back = go, come_back
    try:
        yield server
    finally:
        listener.shut()
