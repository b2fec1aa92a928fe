"""A quick clean web on loopback: photographs out of memory, each address with bytes of its own.

    python benchmarks/clean_web.py PHOTOGRAPHS PORT      serves until it is ended

GET /<photograph number>/<image id>.jpg gives that photograph with the id in a comment segment, so that no two addresses
have the same bytes. One thread over epoll and sendmsg: it is to cost the machine as little as a web server in C does.
"""

from __future__ import annotations

import selectors
import socket
import sys
from pathlib import Path


def load(folder: Path) -> list[tuple[bytes, memoryview]]:
    """(start, rest) of each photograph: the comment goes between them, behind an APP0 or APP1 segment."""
    parts = []
    for file in sorted(folder.iterdir()):
        data = file.read_bytes()
        cut = 4 + int.from_bytes(data[4:6], "big") if data[2:4] in (b"\xff\xe0", b"\xff\xe1") else 2
        parts.append((data[:cut], memoryview(data)[cut:]))
    return parts


class Client:
    """One connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.asked, self.out = sock, b"", list[memoryview]()

    def answer(self, photographs: list[tuple[bytes, memoryview]]) -> None:
        head, end, self.asked = self.asked.partition(b"\r\n\r\n")
        if not end:
            self.asked = head
            return
        _, number, name = head.split(b" ", 2)[1].split(b"/")
        start, rest = photographs[int(number)]
        comment = b"\xff\xfe" + (len(name) + 2).to_bytes(2, "big") + name
        size = len(start) + len(comment) + len(rest)
        header = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % size
        self.out += [memoryview(header + start + comment), rest]

    def send(self) -> None:
        while self.out:
            sent = self.sock.sendmsg(self.out)
            while sent and sent >= len(self.out[0]):
                sent -= len(self.out.pop(0))
            if sent:
                self.out[0] = self.out[0][sent:]


def serve(folder: Path, port: int) -> None:
    photographs = load(folder)
    selector = selectors.DefaultSelector()
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    listener.setblocking(False)
    selector.register(listener, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, events in selector.select():
            client: Client | None = key.data
            if client is None:
                sock, _ = listener.accept()
                sock.setblocking(False)
                selector.register(sock, selectors.EVENT_READ, Client(sock))
                continue
            try:
                if events & selectors.EVENT_READ:
                    if not (data := client.sock.recv(65536)):
                        raise ConnectionError
                    client.asked += data
                    client.answer(photographs)
                client.send()
                wanted = selectors.EVENT_READ
            except BlockingIOError:
                wanted = selectors.EVENT_READ | selectors.EVENT_WRITE
            except ConnectionError:
                selector.unregister(client.sock)
                client.sock.close()
                continue
            if wanted != key.events:
                selector.modify(client.sock, wanted, client)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
